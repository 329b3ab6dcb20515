import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from naqsh.adversarial.objectives import OBJECTIVES
from naqsh.core.errors import NaqshError
from naqsh.core.optimizers import SGD, Adam, Muon, RMSprop
from naqsh.core.printable import is_text
from naqsh.io.codec import Text
from naqsh.io.files import flat
from naqsh.methods import gan, names, spec_class
from naqsh.recipes import all_recipes, by_name
from naqsh.recipes import recipe as recipe_module
from naqsh.recipes.recipe import Data, Recipe, Training, from_dict, from_yaml

RECIPES = sorted(all_recipes())

PARENTS = ("method.first", "method.autoencoder")
FILLED_IN = tuple(f"{parent}.{part}" for parent in PARENTS for part in ("method", "layout"))
"""What of a run that another one stands on is not typed: training fills it in."""


def spelled(value) -> Text:
    if isinstance(value, list):
        return Text(",".join(map(str, value)))
    return Text("none" if value is None else str(value))


def test_a_recipe_with_the_former_name_of_sigma_data_opens():
    now = by_name("edm-cifar10").override({"method.sigma_data": 0.7})
    before = now.to_yaml().replace("sigma_data:", "data_deviation:")
    assert "data_deviation: 0.7" in before
    assert from_yaml(before) == now
    # That of before the change of name.
    assert by_name("edm-cifar10").fingerprint() == "98b6772d1c87"


def test_fields_that_a_method_got_later_change_no_fingerprint_unless_they_are_set():
    """Those of recipes as they were before the remedies."""
    before = {"gan-digits": "86f3bfa99bd7", "wgan-gp-mnist": "f6fe451ad4a6"}
    for name, fingerprint in before.items():
        assert by_name(name).fingerprint() == fingerprint
        assert by_name(name).override({"method.r1": 1.0}).fingerprint() != fingerprint


@pytest.mark.parametrize("name", RECIPES)
def test_yaml_there_and_back_is_exact(name, tmp_path):
    recipe = by_name(name)
    assert recipe.name == name
    assert from_yaml(recipe.to_yaml()) == recipe
    assert from_yaml(recipe.to_yaml()).to_yaml() == recipe.to_yaml()
    assert from_dict(recipe.to_dict()).fingerprint() == recipe.fingerprint()
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert recipe_module.read(path) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_can_be_typed(name):
    """Each as it stands changes nothing; each as another value changes that and the fingerprint."""
    recipe = by_name(name)
    if recipe.training.batch == 1:  # which has no parts, so that accumulate has one value
        recipe = recipe.override({"training.batch": 24})
    leaves = {key: value for key, value in flat(recipe.to_dict()).items() if key not in FILLED_IN}
    assert len(leaves) > 15
    typed = {key: spelled(value) for key, value in leaves.items()}
    assert recipe.override(typed) == recipe
    seen = {recipe.fingerprint()}
    for key, value in leaves.items():
        if key in EXCLUDED and is_excluded(recipe, key):
            continue
        changed = recipe.override({key: Text(another(recipe, key, value))})
        after = flat(changed.to_dict()).items()
        different = {k for k, v in after if k not in FILLED_IN and leaves.get(k) != v}
        assert key in different
        assert key.endswith("kind") or different == {key}
        assert changed.fingerprint() not in seen
        seen.add(changed.fingerprint())


EXCLUDED = {
    *("method.minibatch", "method.packing", "method.unroll", "method.generators"),
    "data.text_model",
}
"""Switches that another of a recipe's may exclude at any value but that which leaves them out."""


def is_excluded(recipe: Recipe, key: str) -> bool:
    """Whether the recipe refuses a switch, and says what to leave out."""
    try:
        recipe.override({key: Text("2")})
    except NaqshError as error:
        return "leave" in str(error) or "go together" in str(error)
    return False


def another(recipe: Recipe, key: str, value) -> str:
    """Some other value that the recipe takes under a key."""
    if key == "method.kind":
        return next(kind for kind in names() if kind != value)
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, list):
        whole = all(isinstance(item, int) for item in value)
        return ",".join(str(item + 1 if whole else item / 2 + 0.01) for item in value) or "4"
    if key in ("name", "data.name") or key.endswith((".run", ".sha256")):
        return f"{value}-2"
    if isinstance(value, str):
        with pytest.raises(NaqshError) as caught:
            recipe.override({key: Text("zzzz")})
        known = re.search("known: (.*)", str(caught.value)).group(1).split(", ")
        candidates = [choice for choice in known if choice != value]
    else:
        candidates = ["3", "0.25", "0.001", "8", "7", "5", "2", "0,1"]
    for candidate in candidates:
        try:
            changed = recipe.override({key: Text(candidate)})
        except NaqshError:
            continue
        if changed != recipe:
            return candidate
    raise AssertionError(f"found no other value for {key}")


positive = st.floats(min_value=1e-9, max_value=1e9)
below_one = st.floats(0, 0.999999)
optimizers = st.one_of(
    st.builds(Adam, lr=positive, betas=st.tuples(below_one, below_one)),
    st.builds(Muon, lr=positive, momentum=below_one),
    st.builds(RMSprop, lr=positive, alpha=below_one),
    st.builds(SGD, lr=positive, momentum=below_one),
)
counts = st.integers(1, 10_000_000)
specs = st.builds(
    gan.Spec,
    objective=st.sampled_from(sorted(OBJECTIVES)),
    latent=counts,
    width=counts,
    n_critic=counts,
    clip=st.none() | positive,
    gradient_penalty=st.just(0.0) | positive,
    spectral_norm=st.booleans(),
    generator=optimizers,
    critic=optimizers,
    r1=st.just(0.0) | positive,
    r2=st.just(0.0) | positive,
    feature_matching=st.booleans(),
    packing=counts,
    diversity=positive,
)
recipes = st.builds(
    Recipe,
    name=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])).filter(is_text),
    data=st.builds(
        Data,
        name=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])).filter(is_text),
        size=st.none() | st.integers(4, 8192),
        channels=st.sampled_from([None, 1, 3]),
        flip=st.booleans(),
    ),
    method=specs,
    training=st.builds(
        Training,
        epochs=positive,
        steps=st.none() | counts,
        batch=counts,
        seed=st.integers(),
        schedule=st.sampled_from(["constant", "linear", "cosine"]),
        warmup=st.integers(0, 2**40),
        clip_norm=st.none() | positive,
        ema=st.none() | st.floats(0.1, 0.9999),
        validation=below_one,
    ),
)


@settings(max_examples=60)
@given(recipes)
def test_any_recipe_there_and_back(recipe):
    again = from_yaml(recipe.to_yaml())
    assert again == recipe
    assert again.fingerprint() == recipe.fingerprint()
    assert recipe.override(flat(recipe.to_dict())) == recipe


def test_a_new_kind_resets_what_stands_beside_it():
    recipe = by_name("gan-digits").override({"method.critic.lr": 0.5})
    changed = recipe.override({"method.critic.kind": Text("rmsprop")})
    assert changed.method.critic == RMSprop()
    assert changed.method.generator == recipe.method.generator
    assert recipe.override({"method.critic.kind": "adam"}) == recipe


@pytest.mark.parametrize("swap", [False, True])
def test_numbers_of_a_new_kind_are_set_in_any_order(swap):
    changes = [("method.critic.kind", Text("sgd")), ("method.critic.momentum", Text("0.5"))]
    changed = by_name("gan-digits").override(dict(reversed(changes) if swap else changes))
    assert changed.method.critic == SGD(momentum=0.5)


def test_numbers_of_a_new_method_are_set_too():
    changes = {"method.critic.lr": 0.1, "method.kind": "gan", "method.critic.kind": "sgd"}
    start = from_dict({"name": "x", "data": {"name": "digits"}, "method": {"kind": "gan"}})
    assert start.override(changes).method == gan.Spec(critic=SGD(0.1))


def test_a_new_kind_does_not_keep_numbers_of_the_old_one():
    with pytest.raises(NaqshError, match=r"method\.critic\.betas: no key named 'betas'"):
        by_name("gan-digits").override(
            {"method.critic.kind": "rmsprop", "method.critic.betas": [0.0, 0.9]}
        )


def test_short_file_takes_defaults():
    recipe = from_yaml("{name: x, data: {name: digits}, method: {kind: gan}}")
    assert recipe == Recipe("x", Data("digits"), gan.Spec(), Training())


REFUSED = {
    "no YAML": ("a: [", r"^this is not YAML"),
    "aliases": ("a: &b [1]\nc: *b", r"^this is not YAML .*anchor or alias"),
    "nested too deep": ("[" * 800, r"^this is not YAML"),
    "a tag that runs code": ("!!python/object/apply:os.system [ls]", r"^this is not YAML"),
    "nothing": ("", r"^recipe: need named values, got None"),
    "no method": ("{name: x, data: {name: digits}}", r"^method: missing"),
    "no kind": ("{name: x, data: {name: d}, method: {latent: 3}}", r"^method\.kind: missing"),
    "unknown method": (
        "{name: x, data: {name: d}, method: {kind: gann}}",
        r"no method named 'gann'; did you mean 'gan'",
    ),
    "method with a path": (
        "{name: x, data: {name: d}, method: {kind: ../gan}}",
        r"no method named '\.\./gan'",
    ),
    "key of tomorrow": (
        "{name: x, data: {name: d}, method: {kind: gan}, colour: 1}",
        r"^colour: no key named 'colour'",
    ),
    "section mistyped": (
        "{name: x, data: {name: d}, method: {kind: gan}, traning: {}}",
        r"^traning: .*did you mean 'training'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_does_not_fit_is_refused(case, tmp_path):
    text, line = REFUSED[case]
    with pytest.raises(NaqshError, match=line):
        from_yaml(text)
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NaqshError, match=r"^.*mine\.yaml: ") as caught:
        recipe_module.read(path)
    assert len(str(caught.value)) < 600


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(NaqshError, match=r"^cannot read .*none\.yaml: No such file"):
        recipe_module.read(tmp_path / "none.yaml")
    with pytest.raises(NaqshError, match=r"^cannot read .*: Is a directory"):
        recipe_module.read(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NaqshError, match=r"x\.yaml is damaged: it is no text"):
        recipe_module.read(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    "numbers",
    [
        {"epochs": 0},
        {"epochs": -1.0},
        {"epochs": 1e10},
        {"steps": 0},
        {"batch": 0},
        {"batch": -8},
        {"batch": 10, "accumulate": 3},
        {"accumulate": 0},
        {"clip_norm": 0.0},
        {"ema": 1.0},
        {"ema": 0.0},
        {"warmup": -1},
        {"validation": 1.0},
        {"validation": -0.1},
    ],
)
def test_training_refuses_what_cannot_be(numbers):
    with pytest.raises(ValueError, match="|".join(numbers)):
        Training(**numbers)


@pytest.mark.parametrize("numbers", [{"size": 3}, {"size": -8}, {"channels": 2}, {"channels": 0}])
def test_data_refuses_what_cannot_be(numbers):
    with pytest.raises(ValueError, match="|".join(numbers)):
        Data("digits", **numbers)


@pytest.mark.parametrize(
    "numbers",
    [
        {"latent": 0},
        {"width": 0},
        {"n_critic": 0},
        {"clip": 0.0},
        {"clip": -0.1},
        {"gradient_penalty": -1.0},
        {"r1": -1.0},
        {"r2": -0.1},
    ],
)
def test_gan_refuses_what_cannot_be(numbers):
    with pytest.raises(ValueError, match="|".join(numbers)):
        gan.Spec(**numbers)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(NaqshError, match=r"no recipe named 'gan-mnits'; did you mean 'gan-mnist'"):
        by_name("gan-mnits")
    with pytest.raises(NaqshError, match=r"no method named 'xyzzy'; known: .*gan"):
        spec_class("xyzzy")


def test_names_are_what_a_user_would_type():
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name) for name in RECIPES)
    for name in RECIPES:
        first = (all_recipes()[name].__doc__ or "").splitlines()[0]
        assert first.endswith("."), name
        assert by_name(name).method.kind in names()
        assert yaml.safe_load(by_name(name).to_yaml())["method"]["kind"] in names()
