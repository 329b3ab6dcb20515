"""Help and lists: taken from the code, whole, and readable at 80 columns."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import naqsh
from naqsh import api, cli, methods
from naqsh.cli import entry
from naqsh.cli.parsing import Parser, apart, named
from naqsh.core.abilities import HasSamplers
from naqsh.core.spec import Layout
from naqsh.io import codec, options
from naqsh.io.files import flat
from naqsh.recipes import all_recipes, by_name
from naqsh.runs.sampling import described, sample_names

VERBS = [
    *("list", "train", "sample", "translate", "edit", "evaluate", "measure", "samplers", "bound"),
    *("field", "detect", "segment", "report", "export", "compare", "failures", "tune", "lesson"),
]

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(autouse=True)
def usual_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def shown(words: list[str], capsys) -> str:
    code: object = None
    try:
        code = cli.main(words)
    except SystemExit as leave:
        code = leave.code
    assert code == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert max(map(len, said.out.splitlines())) <= 80, max(said.out.splitlines(), key=len)
    return said.out


def words_of(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples(verb, capsys):
    assert f"examples:\n  naqsh {verb}" in shown([verb, "--help"], capsys)


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_can_be_typed(verb):
    """Verb, arguments and options are known; what is left belongs to a recipe or a run."""
    parser = Parser(prog="naqsh")
    verbs = parser.add_subparsers()
    for module in entry.VERBS:
        module.add(verbs)
    text = re.sub(r" *\\\n +", " ", verbs.choices[verb].epilog)
    lines = [line.strip() for line in text.splitlines() if line.startswith("  naqsh ")]
    for line in lines:
        for command in re.split(r"\s{2,}", line)[0].split("; "):
            plain, dotted = apart(shlex.split(command)[1:])
            _, rest = parser.parse_known_args(plain)
            named(dotted + rest)


def test_a_verb_is_a_module():
    files = (Path(cli.__file__).parent / "verbs").glob("*.py")
    assert {file.stem for file in files} - {"__init__"} == set(VERBS)


def test_the_verbs_are_all_there(capsys):
    out = shown(["--help"], capsys)
    listed = [
        line.split()[0] for line in out.splitlines() if line.startswith("    ") and line[4] > " "
    ]
    assert [word for word in listed if word != "COMMAND"] == VERBS


@pytest.mark.parametrize("name", all_recipes())
def test_every_option_of_every_recipe_is_described(name):
    found = options.of(by_name(name))
    assert [o.name for o in found if len(o.about) < 8] == []
    parents = ("method.first", "method.autoencoder")
    filled_in = {f"{parent}.{part}" for parent in parents for part in ("method", "layout")}
    values = flat(by_name(name).to_dict())
    assert set(values) - filled_in == {o.name for o in found}


@pytest.mark.parametrize("kind", methods.names())
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_so_is_every_option_of_every_kind(kind, optimizer):
    base = by_name("gan-digits").override({"method.kind": kind})
    kinds = [n for n in flat(base.to_dict()) if n.endswith(".kind") and n != "method.kind"]
    for option in options.of(base):
        if option.name in kinds:
            for choice in option.choices:
                for inner in options.of(base.override({option.name: choice})):
                    assert len(inner.about) >= 8, (option.name, choice, inner.name)
                    assert "`" not in inner.about


def test_help_on_a_recipe_lists_every_option_with_its_value(capsys):
    out = shown(["train", "--method.latent", "7", "wgan-gp-mnist", "-h"], capsys)
    for option in options.of(by_name("wgan-gp-mnist")):
        if "." in option.name:
            assert f"\n  --{option.name} {option.spelled()}\n" in out
    assert out.index("\nData:") < out.index("\nMethod:") < out.index("\nOptimizer:")
    assert (
        out.index("\nOptimizer:") < out.index("\n  --method.critic.lr ") < out.index("\nTraining:")
    )
    assert out.count("--method.objective ") == 1
    said = words_of(out)
    assert "what the two players minimise; one of non-saturating, minimax, least-squares" in said
    assert "how the learning rates go over the run: constant, or" in said
    assert "--training.clip_norm none largest norm of a phase's gradient; none leaves it" in said


def test_help_of_another_kind_lists_the_options_of_that_kind(capsys):
    out = shown(["train", "gan-digits", "--method.critic.kind", "sgd", "--help"], capsys)
    assert "\n  --method.critic.momentum 0\n" in out
    assert "--method.critic.betas" not in out
    out = shown(["train", "gan-digits", "--method.kind", "vae", "--help"], capsys)
    assert "--method.free_bits 0\n" in out


def test_every_value_that_help_shows_can_be_typed():
    for name in all_recipes():
        recipe = by_name(name)
        typed = {
            option.name: codec.Text(option.spelled())
            for option in options.of(recipe)
            if "." in option.name and not option.name.endswith("kind")
        }
        assert recipe.override(typed) == recipe, name


def test_help_on_a_run_lists_what_its_method_takes(finished, alone, capsys):
    shutil.copytree(finished, alone / "gan")
    assert "\n  --label none\n" in shown(["sample", "gan", "--help"], capsys)
    changes = {"training.batch": 16, "training.steps": 1}
    api.train("vae-digits", out="vae", overrides=changes, device="cpu", quiet=True)
    none = "vae-digits takes no further options for sampling"
    assert none in shown(["sample", "vae", "--help"], capsys)
    api.train("ddpm-digits", out="ddpm", overrides=changes, device="cpu", quiet=True)
    for verb in ("sample", "evaluate", "samplers"):
        out = shown([verb, "ddpm", "--n", "5", "--help"], capsys)
        of_the_run = out[out.index("\nWhat ddpm-digits takes") :]
        for name in sample_names(naqsh.open("ddpm").method):
            own = verb == "samplers" and name in ("sampler", "steps", "guidance")
            assert (f"\n  --{name} " in of_the_run) != own
        assert "none, or a class by its name or number" in words_of(of_the_run)
        assert "naqsh." not in of_the_run
        assert out.count("\n  --steps ") == 1
        if verb == "samplers":
            assert "\nEvery sampler takes:\n  --spacing none\n" in out
            continue
        assert "one of ancestral, ddim, euler, heun, dpm-solver++" in words_of(out)
        assert "\nEvery sampler takes:\n  --steps 12\n" in out
        assert out.count("\n  --clip true\n") == 1
        _, ddim = out.split("\nddim: 12 evaluations of the network an image")
        ddim, heun = ddim.split("\nheun: 23 evaluations of the network an image")
        assert "\n  --eta 0\n" in ddim.partition("\neuler: ")[0]
        assert "\n  --churn 0\n" in heun
        assert "--eta" not in heun
        assert "\n  --guidance 1\n" in out


@pytest.mark.parametrize("recipe", ["gan-digits", "vae-digits", "maf-digits", "ddpm-digits"])
def test_every_option_of_sampling_is_described(recipe):
    method = by_name(recipe).method.build(Layout((1, 16, 16), tuple("0123456789")))
    assert [o.name for o in described(method) if len(o.about) < 8] == []
    samplers = method.samplers if isinstance(method, HasSamplers) else {}
    own = [option for sampler in samplers.values() for option in options.of(sampler)]
    assert [o.name for o in own if len(o.about) < 8] == []
    listed = [*described(method), *own, *options.of(by_name(recipe))]
    assert [o.name for o in listed if "naqsh." in o.about] == []  # a place in the code
    names = [option.name for option in (*described(method), *own)]
    assert set(names) == set(sample_names(method))


def test_the_list_of_recipes_is_by_family(capsys):
    out = shown(["list", "recipes"], capsys)
    said = words_of(out)
    for name, function in all_recipes().items():
        assert f"\n  {name} " in out
        assert words_of(function.__doc__.splitlines()[0].rstrip(".")) in said
    starts = {
        line.find(line.split()[1], 2 + len(line.split()[0]))
        for line in out.splitlines()
        if line.startswith("  ") and line[2] != " "
    }
    assert len(starts) == 1  # in one column
    families = [line for line in out.splitlines()[2:] if line and line[0] != " "]
    modules = {p.stem for p in Path(naqsh.__file__).parent.glob("recipes/[a-z]*.py")} - {"recipe"}
    assert len(families) == len(modules)
    order = [out.index(words) for words in ("Adversarial", "\n  gan-", "Diffusion", "\n  ddpm-")]
    assert order == sorted(order)


def test_the_lists_of_data_and_features(capsys):
    out = shown(["list", "data"], capsys)
    for name in ("digits", "mnist", "fashion-mnist", "cifar10"):
        assert f"\n  {name} " in out
    assert "gan-digits" not in out
    assert "60,000 + 10,000 of 28x28x1, 10 classes" in words_of(out)
    everything = shown(["list"], capsys)
    assert words_of(out) in words_of(everything)
    assert words_of(shown(["list", "features"], capsys)) in words_of(everything)
    assert words_of(shown(["list", "recipes"], capsys)) in words_of(everything)


def test_a_wide_terminal_is_used_and_a_narrow_one_survived(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    cli.main(["list"])
    assert 80 < max(map(len, capsys.readouterr().out.splitlines())) <= 100
    monkeypatch.setenv("COLUMNS", "12")
    assert cli.main(["list"]) == 0


def test_sections_of_docstrings():
    entries = "    a: one ``x``\n        and.\n    b_c: :class:`two`; None: so."
    text = f"Words.\n\nAttributes:\n{entries}\n\nEnd."
    assert options.sections(text) == {"a": "one x and", "b_c": "two; none: so"}
    assert options.sections("Nothing: here.") == {}
