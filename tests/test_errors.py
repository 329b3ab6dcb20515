"""Unknown words are answered by the nearest known ones, by one rule wherever they are typed."""

from pathlib import Path

import pytest

from naqsh.cli import main
from naqsh.core.errors import ELSEWHERE, NaqshError, nearest, one_of

RECIPE = ["data.name", "data.size", "method.optimizer.lr", "method.latent", "training.batch"]
RECIPE += ["training.steps", "training.clip_norm", "training.seed"]

VAES = ["vae-mnist", "vae-digits"]


@pytest.mark.parametrize(
    ("given", "known", "expected"),
    [
        ("trian", ["train", "tune", "sample"], ["train"]),
        ("FID", ["all", "dc", "fid", "kid"], ["fid"]),
        ("Frechet", ["frechet", "kid"], ["frechet"]),
        ("--batch-size", [f"--{name}" for name in RECIPE], ["--training.batch"]),
        ("lr", RECIPE, ["method.optimizer.lr"]),
        ("training.lr", RECIPE, ["method.optimizer.lr"]),
        ("learning_rate", RECIPE, ["method.optimizer.lr"]),
        ("clip-norm", RECIPE, ["training.clip_norm"]),
        ("grad_clip", RECIPE, ["training.clip_norm"]),
        ("latnet", RECIPE, ["method.latent"]),
        ("seed", ["seed", "training.seed"], ["seed"]),
        ("random-seed", ["--seed", "--training.seed"], ["--seed"]),
        ("lr", ["method.b.lr", "method.a.lr", "x"], ["method.a.lr", "method.b.lr"]),
        ("recall", ["all", "dc", "fid", "pr"], ["pr"]),
        ("vae", ["vae-capsule", "vae-digits", "vae-mnist", "gan", "wave"], [*VAES, "vae-capsule"]),
        ("vae", ["vaes", "vae-iaf-digits", *VAES[::-1]], [*VAES, "vae-iaf-digits"]),
        ("skip", ["--skip-broken", "--size"], ["--skip-broken"]),
        ("xyzzy", RECIPE, []),
        ("", RECIPE, []),
        ("--", RECIPE, []),
    ],
)
def test_the_nearest_are_found(given: str, known: list[str], expected: list[str]) -> None:
    assert nearest(given, known) == expected


def test_a_known_name_is_nearest_to_itself() -> None:
    """Also where it is what another program calls something else."""
    names = {*ELSEWHERE, *(word for words in ELSEWHERE.values() for word in words.split())}
    for name in names:
        assert nearest(name, names) == [name]


def test_nothing_near_lists_all() -> None:
    assert str(one_of("metric", "xyzzy", ["b", "a"])) == "no metric named 'xyzzy'; known: a, b"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["evalute", "x"], "did you mean 'evaluate'"),
        (["train", "gan-digits", "--lr", "1"], "'--method.critic.lr' or '--method.generator.lr'"),
        (["train", "vae-digits", "--lr=1"], "did you mean '--method.optimizer.lr'"),
        (["tune", "vae-digits", "--batch-size", "8"], "did you mean '--training.batch'"),
        (["tune", "vae-digits", "--trails", "8"], "did you mean '--trials'"),
        (["tune", "vae-digits", "--search", "lr=1:2"], "did you mean 'method.optimizer.lr'"),
        (["train", "vae-digits", "--optimizer.lr", "1"], "did you mean 'method.optimizer.lr'"),
        (["compare", "--num-samples", "8"], "did you mean '--n'"),
        (["measure", "FIDD", "digits", "digits:test"], "did you mean 'fid'"),
        (["report", "x", "--lang", "fa"], "did you mean '--language'"),
        (["detect", "x", "y", "--gpu", "1"], "did you mean '--device'"),
    ],
)
def test_every_verb_answers_so(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert hint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("verb", ["sample", "evaluate", "samplers"])
def test_options_of_sampling_stand_beside_the_verbs_own(
    verb: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(finished), "--sede", "3"]) == 2
    assert "no option named '--sede'; did you mean '--seed'" in capsys.readouterr().err


def test_a_message_is_one_line_that_commands_no_terminal():
    said = str(NaqshError("a \x1b[31m name,\n  a library's\r\nlines, \u202eturned\x00 \udce3"))
    assert said == r"a \x1b[31m name, a library's lines, \u202eturned\x00 \udce3"


def test_the_message_stays_as_it_is_otherwise():
    assert str(NaqshError("no  گربه at 'a'")) == "no  گربه at 'a'"
    assert str(NaqshError()) == ""
