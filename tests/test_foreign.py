"""Whatever stands in a foreign file, reading it gives plain values or one line."""

import os
import random
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from naqsh import recipes
from naqsh.core import printable
from naqsh.core.errors import NaqshError
from naqsh.io import foreign, values

BOMB = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghi")
)

PIECES = [
    *"&*!{}[]:-?|>'\"#\t\n\r\x85\u2028\ufeff\0\x1b%@`\\é,=~ ",
    ": ",
    "- ",
    " #",
    "---",
    "...\n",
]
"""What may stand anywhere in a text that should be YAML."""


@pytest.mark.parametrize(
    ("text", "why"),
    {
        "aliases": (BOMB, "anchor or alias"),
        "an anchor alone": ("a: &x 1", "anchor or alias"),
        "nested too deep": ("[" * 50 + "]" * 50, "nested deeper than 32"),
        "nested far too deep": ("[" * 9000, "nested deeper than 32"),
        "nested by indents": (
            "\n".join(" " * depth + "a:" for depth in range(50)),
            "nested deeper than 32",
        ),
        "a timestamp": ("a: !!timestamp 99", "timestamp"),
        "code": ("!!python/object/apply:os.system [ls]", "python/object"),
        "a tag of its own": ("a: !mine 3", "mine"),
        "binary": ("a: !!binary aGk=", "binary"),
        "a name twice": ("a: 1\na: 2", "'a' twice"),
        "a list as a name": ("? [1]\n: 2", "as a name"),
        "5,000 digits": ("a: " + "9" * 5000, "digits"),
        "400 digits": ("a: " + "9" * 400, "digits"),
        "a control character": ("a: \x1b[31m", "x001b"),
        "endless": ("a: " + "b" * values.YAML_LIMIT, "characters"),
        "cut short": ("a: [", "expected"),
    }.values(),
)
def test_yaml_of_more_than_plain_values_is_refused(text, why):
    with pytest.raises(ValueError, match=why) as refused:
        values.from_yaml(text)
    said = str(refused.value)
    assert len(said) < 400
    assert said == printable.shown(said)


def test_yaml_of_plain_values_is_read():
    text = "a: {b: [1, 2.5, true, null, .inf, 1e-4], day: 2001-01-01, merged: {<<: {c: 1}}}\n"
    text += '"\\udce3": گربه'
    inner = {
        "b": [1, 2.5, True, None, float("inf"), "1e-4"],
        "day": "2001-01-01",
        "merged": {"<<": {"c": 1}},
    }
    assert values.from_yaml(text) == {"a": inner, "\udce3": "گربه"}
    assert values.from_yaml("") is None


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
def test_yaml_is_read_alike_with_and_without_libyaml(monkeypatch):
    """Recipes with a few characters put in and taken out: the same values, the same refusals."""

    def answer(text):
        try:
            return repr(values.from_yaml(text))
        except ValueError as error:
            return str(error)

    rng = random.Random(0)
    recipe = recipes.by_name("ddpm-digits").to_yaml()
    recipe = recipe[: recipe.rindex("\n", 0, 300) + 1]
    whole = ["a: {b: [1, 2.5, true, .inf, 1e-4], c: 'd''e'}\n- 3: \"\\u00e9\"\n", recipe]
    texts = []
    for _ in range(300):
        text = rng.choice(whole)
        for _ in range(rng.choice([1, 2, 5])):
            place = rng.randrange(len(text))
            text = text[:place] + rng.choice(PIECES) + text[place + rng.randrange(3) :]
        texts.append(text)
    quick = [answer(text) for text in texts]
    monkeypatch.setattr(values, "_Quick", values._Plain)
    assert [answer(text) for text in texts] == quick
    assert 30 < sum(answer.startswith("{") for answer in quick) < 270


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NaN", "NaN"),
        ('{"a": [-Infinity]}', "Infinity"),
        ("1e400", "not finite"),
        ('{"a": -1E+400}', "not finite"),
        ("9" * 400, "digits"),
        ("9" * 5000, "digits"),
        ("[" * 100_000, "nested"),
        ("[" * 40 + "]" * 40, "nested"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ('{"a": 1', "delimiter"),
        ("", "Expecting value"),
        (b"\xff", "utf-8"),
    ],
)
def test_json_of_more_than_plain_values_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        values.from_json(text)


def test_json_of_plain_values_is_read():
    wide = "[" + ",".join(["[1]"] * 100) + "]"
    assert values.from_json(wide) == [[1]] * 100
    assert values.from_json('{"a": [1e308, 12345678901234567890, "NaN", "\\udce3"]}') == {
        "a": [1e308, 12345678901234567890, "NaN", "\udce3"]
    }


def link_out(path: Path) -> None:
    path.with_name("secret").rename(path.parent.parent / "secret")
    path.symlink_to("../secret")


STRANGE = {
    "a link out of its folder": (link_out, "leads out of its folder"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "cannot read|leads out"),
    "a pipe": (os.mkfifo, "pipe or a device"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "leads out of its folder"),
    "a folder": (Path.mkdir, "Is a directory"),
    "a link to nothing": (lambda path: path.symlink_to("gone"), "No such file"),
    "too large": (lambda path: os.truncate(path.touch() or path, 1 << 40), "bytes"),
}


@pytest.mark.parametrize("case", STRANGE)
@pytest.mark.parametrize("read", [foreign.read_json, foreign.read_lines, foreign.read_text])
def test_only_regular_files_inside_their_folder_are_read(case, read, tmp_path):
    make, why = STRANGE[case]
    path = tmp_path / "run" / "a"
    path.parent.mkdir()
    path.with_name("secret").write_text("{}\n")
    make(path)
    with pytest.raises(NaqshError, match=why):
        read(path)
    if case != "too large":  # whoever opens it by its path has a limit of its own
        with pytest.raises(NaqshError, match=why):
            foreign.require_file(path)


def test_a_link_inside_its_folder_is_followed(tmp_path):
    (tmp_path / "there").write_text('{"a": 1}\n')
    (tmp_path / "here").symlink_to("there")
    assert foreign.read_json(tmp_path / "here") == {"a": 1}
    deeper = tmp_path / "deeper"
    deeper.mkdir()
    (deeper / "here").symlink_to("../there")
    assert foreign.read_lines(tmp_path / "none") == []
    with pytest.raises(NaqshError, match="leads out"):
        foreign.read_json(deeper / "here")
    assert foreign.read_json(deeper / "here", within=tmp_path) == {"a": 1}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is unreadable here")
def test_an_unreadable_file_is_not_called_missing(tmp_path):
    path = tmp_path / "a"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(NaqshError, match=r"cannot read .*: Permission denied"):
        foreign.read_json(path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "/etc",
        "../a",
        "a\\b",
        "C:a",
        "a\0b",
        "a\x1b[31m",
        "x" * 300,
    ],
)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(NaqshError, match=r"^the recipe's name .* cannot name a folder") as refused:
        foreign.plain_name(name, "the recipe's name")
    assert str(refused.value) == printable.shown(refused.value)


@pytest.mark.parametrize("name", ["a", "vae-digits", "گربه", "نیم‌فاصله", "a b.c", "\udce3\udcd1"])
def test_other_names_stay(name):
    assert foreign.plain_name(name, "the recipe's name") == name


def test_what_is_shown_commands_no_terminal():
    assert printable.shown("a\x1b]0;title\x07\n\x9b31m\u202eb\udce3\u2028") == (
        r"a\x1b]0;title\x07\n\x9b31m\u202eb\udce3\u2028"
    )
    assert printable.shown("گربه نیم‌فاصله 5 µm") == "گربه نیم‌فاصله 5 µm"
    assert len(printable.short(["x" * 10_000] * 1000)) < 600
    assert len(printable.short({str(n): [[[n]]] for n in range(1000)})) < 200
    assert printable.short(10**5000) == "a whole number of thousands of digits"
    assert printable.short("\x1b") == r"'\x1b'"
