import dataclasses
import datetime
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from naqsh.core.errors import NaqshError
from naqsh.core.optimizers import SGD, Adam, Muon, Optimizer, RMSprop
from naqsh.core.printable import is_text
from naqsh.io import codec
from naqsh.io.codec import Text, decode, encode
from naqsh.io.values import from_yaml


@dataclass(frozen=True)
class Inner:
    size: int = 3


@dataclass(frozen=True)
class Outer:
    """One field of each type that a recipe may have."""

    whole: int
    number: float = 0.5
    flag: bool = False
    text: str = "a"
    maybe: float | None = None
    pair: tuple[int, float] = (1, 2.0)
    many: tuple[int, ...] = ()
    choice: Literal["left", "right"] = "left"
    optimizer: Optimizer = Adam()
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        if self.whole == 13:
            raise ValueError("13 brings bad luck")


finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-12, max_value=1e12)
below_one = st.floats(0, 0.999999)
optimizers = st.one_of(
    st.builds(Adam, lr=positive, betas=st.tuples(below_one, below_one), weight_decay=positive),
    st.builds(Muon, lr=positive, momentum=below_one),
    st.builds(RMSprop, lr=positive, alpha=below_one),
    st.builds(SGD, lr=positive, momentum=positive),
)
outers = st.builds(
    Outer,
    whole=st.integers().filter(lambda n: n != 13),
    number=finite,
    flag=st.booleans(),
    text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])).filter(is_text),
    maybe=st.none() | finite,
    pair=st.tuples(st.integers(), finite),
    many=st.lists(st.integers()).map(tuple),
    choice=st.sampled_from(["left", "right"]),
    optimizer=optimizers,
    inner=st.builds(Inner, size=st.integers()),
)


@given(outers)
def test_there_and_back_through_yaml_is_exact(outer):
    again = decode(Outer, yaml.safe_load(yaml.safe_dump(encode(outer), allow_unicode=True)))
    assert again == outer
    # Equality overlooks 1 and 1.0; a recipe's fingerprint does not.
    assert encode(again) == encode(outer)
    assert [type(v) for v in encode(again).values()] == [type(v) for v in encode(outer).values()]


@given(finite)
def test_a_typed_number_is_that_number(number):
    for spelling in (repr(number), f"{number:.17e}"):
        assert codec.read(float, Text(spelling), "x") == number


@given(st.integers(-(2**80), 2**80))
def test_a_typed_whole_number_is_that_number(number):
    assert codec.read(int, Text(number), "x") == number


@pytest.mark.parametrize(
    ("hint", "typed", "value"),
    [
        (float, "5e-05", 5e-05),
        (float, "1e-4", 1e-4),
        (float, "3", 3.0),
        (int, "010", 10),
        (bool, "true", True),
        (bool, "False", False),
        (str, "null", "null"),
        (str, "12", "12"),
        (float | None, "none", None),
        (float | None, "null", None),
        (float | None, "0.5", 0.5),
        (tuple[float, float], "0.5,0.999", (0.5, 0.999)),
        (tuple[float, float], "[0.5, 0.999]", (0.5, 0.999)),
        (tuple[float, float], "(0 0.9)", (0.0, 0.9)),
        (tuple[int, ...], "", ()),
        (tuple[int, ...], "1 2 3", (1, 2, 3)),
        (Literal["left", "right"], "right", "right"),
    ],
)
def test_typed_on_the_command_line(hint, typed, value):
    got = codec.read(hint, Text(typed), "x")
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("text", ["1e-4", "5e-05", "1E3", "2e+2"])
def test_yaml_reads_some_numbers_as_texts(text):
    assert isinstance(yaml.safe_load(text), str)
    assert decode(Outer, {"whole": 1, "number": yaml.safe_load(text)}).number == float(text)


REFUSED = {
    "unknown key, nearest named": ({"nmber": 1.0}, r"nmber: no key named 'nmber'; did you mean 'n"),
    "unknown key inside": ({"inner": {"sise": 1}}, r"inner\.sise: .*did you mean 'size'\?"),
    "key that is a number": ({7: 1}, r"7: no key named '7'"),
    "text for a whole number": ({"whole": "three"}, r"whole: need a whole number, got 'three'"),
    "float for a whole number": ({"whole": 3.0}, r"whole: need a whole number, got 3\.0"),
    "bool for a whole number": ({"whole": True}, r"whole: need a whole number, got True"),
    "bool for a number": ({"number": False}, r"number: need a number, got False"),
    "number for a bool": ({"flag": 1}, r"flag: need true or false, got 1"),
    "text for a bool": ({"flag": "true"}, r"flag: need true or false, got 'true'"),
    "number for a text": ({"text": 5}, r"text: need a text, got 5"),
    "null for a number": ({"number": None}, r"number: need a number, got None"),
    "date for a text": ({"text": datetime.date(2026, 1, 1)}, r"text: need a text"),
    "list for a number": ({"number": [1.0]}, r"number: need a number, got \[1\.0\]"),
    "nan": ({"number": math.nan}, r"number: need a finite number, got nan"),
    "infinity": ({"number": -math.inf}, r"number: need a finite number, got -inf"),
    "infinity as text": ({"number": "1e999"}, r"number: need a finite number, got inf"),
    "whole number past all floats": ({"number": 10**400}, r"number: need a number, got 1000"),
    "optional of another type": ({"maybe": "many"}, r"maybe: need a number, got 'many'"),
    "tuple too short": ({"pair": [1]}, r"pair: need 2 values, got 1"),
    "tuple too long": ({"pair": [1, 2.0, 3]}, r"pair: need 2 values, got 3"),
    "tuple of another type": ({"pair": [1.5, 2.0]}, r"pair: need a whole number, got 1\.5"),
    "one value for a tuple": ({"pair": 1}, r"pair: need a list, got 1"),
    "text for a tuple": ({"pair": "12"}, r"pair: need a list, got '12'"),
    "unknown choice": ({"choice": "rigth"}, r"choice: no choice named 'rigth'; did you mean 'rig"),
    "number for a choice": ({"choice": 1}, r"choice: no choice named '1'; known: left, right"),
    "kind missing": ({"optimizer": {"lr": 0.1}}, r"optimizer\.kind: missing"),
    "kind unknown": (
        {"optimizer": {"kind": "adm"}},
        r"optimizer\.kind: no kind named 'adm'; did you mean 'adam'",
    ),
    "key of another kind": (
        {"optimizer": {"kind": "rmsprop", "betas": [0, 0.9]}},
        r"optimizer\.betas: no key named 'betas'",
    ),
    "no names": ({"optimizer": 3}, r"optimizer: need named values, got 3"),
    "no names inside": ({"inner": [3]}, r"inner: need named values, got \[3\]"),
    "what the class refuses": ({"whole": 13}, r"outer: 13 brings bad luck"),
    "what an inner class refuses": (
        {"optimizer": {"kind": "adam", "lr": 0}},
        r"optimizer: lr must be above 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(case):
    change, line = REFUSED[case]
    with pytest.raises(NaqshError, match=f"^{line}"):
        decode(Outer, {"whole": 1} | change)


def test_a_missing_key_without_a_default_is_named():
    with pytest.raises(NaqshError, match=r"^whole: missing"):
        decode(Outer, {"number": 1.0})


@pytest.mark.parametrize("plain", [None, [], "text", 3])
def test_what_is_no_mapping_is_refused(plain):
    with pytest.raises(NaqshError, match=r"^outer: need named values"):
        decode(Outer, plain)


@pytest.mark.parametrize(
    ("hint", "typed"),
    [
        (int, "1.5"),
        (int, "1e3"),
        (int, "true"),
        (int, ""),
        (int, "1:30"),  # YAML 1.1 would read these three as 90, a date and an error
        (int, "2020-01-02"),
        (int, "2020-13-45"),
        (int, "9" * 5000),
        (int, "[1]"),
        (float, "nan"),
        (float, "inf"),
        (float, "1e400"),
        (float, "half"),
        (float, ""),
        (float, "1:30.5"),
        (float, "{"),
        (bool, "1"),
        (bool, "yess"),
        (tuple[float, float], "0.5"),
        (tuple[float, float], "0.5,x"),
        (Literal["left", "right"], "up"),
    ],
)
def test_typed_nonsense_is_refused_in_one_line(hint, typed):
    with pytest.raises(NaqshError, match=r"^the\.key: ") as caught:
        codec.read(hint, Text(typed), "the.key")
    assert "\n" not in str(caught.value)


def test_no_flow_of_types_is_lost_by_frozen_defaults():
    # A default must itself pass the reader, or a file without the key would differ from one with.
    whole = decode(Outer, {"whole": 1})
    assert decode(Outer, encode(whole)) == whole
    assert dataclasses.asdict(whole)["optimizer"]["lr"] == Adam().lr


@dataclass(frozen=True)
class Renamed:
    new: float = dataclasses.field(default=1.0, metadata={"formerly": "old"})


def test_a_field_is_read_by_its_former_name():
    assert decode(Renamed, {"old": 2}) == decode(Renamed, {"new": 2}) == Renamed(2.0)
    assert encode(Renamed(2.0)) == {"new": 2.0}
    with pytest.raises(NaqshError, match=r"^part\.old: this is the former name of new; keep one$"):
        decode(Renamed, {"old": 2, "new": 2}, path="part")
    with pytest.raises(NaqshError, match=r"^old: need a number|^new: need a number"):
        decode(Renamed, {"old": "x"})


def test_assign():
    plain = {"a": {"kind": "x", "b": 1}, "c": 2}
    codec.assign(plain, "a.b", 5)
    assert plain == {"a": {"kind": "x", "b": 5}, "c": 2}
    codec.assign(plain, "a.kind", "x")
    assert plain["a"] == {"kind": "x", "b": 5}
    codec.assign(plain, "a.kind", "y")
    assert plain["a"] == {"kind": "y"}
    for path, line in {
        "d": "d: no key named 'd'",
        "a.z": "a.z: no key named 'z'",
        "z.b": "z: no key named 'z'",
        "c.d": "c.d: c is a single value",
        "c.d.e": "c.d: no key named 'd'",
        "": ": no key named ''",
    }.items():
        with pytest.raises(NaqshError, match=f"^{line}"):
            codec.assign(plain, path, 1)


def test_equal_values_are_spelled_alike():
    ints, floats = Outer(1, 2, maybe=3, pair=(1, 2)), Outer(1, 2.0, maybe=3.0, pair=(1, 2.0))
    assert ints == floats
    assert yaml.safe_dump(encode(ints)) == yaml.safe_dump(encode(floats))
    betas = encode(Outer(1, optimizer=Adam(1, (0, 0.9))))["optimizer"]
    assert betas == {"kind": "adam", "lr": 1.0, "betas": [0.0, 0.9], "weight_decay": 0.0}
    assert [type(beta) for beta in betas["betas"]] == [float, float]


def test_numpy_values_are_numbers():
    plain = {"whole": np.int64(3), "number": np.float32(0.5), "flag": np.True_}
    read = decode(Outer, plain | {"many": np.array([1, 2]), "maybe": np.array(2.0)})
    assert read == Outer(3, 0.5, True, many=(1, 2), maybe=2.0)
    assert type(read.whole) is int
    assert type(read.number) is float
    given = Outer(np.int64(3), np.float64(0.5), np.True_)
    assert yaml.safe_dump(encode(given)) == yaml.safe_dump(encode(Outer(3, 0.5, True)))


@pytest.mark.parametrize("value", [np.zeros((2, 2)), np.int64(3), np.array(["a"]), ["a"], b"a"])
@pytest.mark.parametrize("field", ["text", "choice"])
def test_no_array_is_a_text(field, value):
    with pytest.raises(NaqshError, match=f"^{field}: "):
        decode(Outer, {"whole": 1, field: value})


@pytest.mark.parametrize("text", ["\x1b[31m", "a\nb", "\0", "\x9b", "\u202eb", "\ud800"])
def test_no_text_has_control_characters(text):
    with pytest.raises(NaqshError, match=r"^text: need a text without control") as refused:
        decode(Outer, {"whole": 1, "text": text})
    assert str(refused.value).isprintable()


def test_a_path_that_is_no_utf8_goes_there_and_back():
    outer = Outer(1, text="\udce3\udcd1/گربه")
    plain = from_yaml(yaml.safe_dump(encode(outer), allow_unicode=True))
    assert decode(Outer, plain) == outer


@dataclasses.dataclass(frozen=True)
class Kept:
    parts: dict[str, tuple[float, ...]]
    said: str = dataclasses.field(default="", metadata=codec.SPARSE)


def test_what_later_versions_add_is_passed_over_and_misfits_are_named():
    plain = {"parts": {"a": [1, 2.5]}, "of tomorrow": {}}
    kept = codec.decode(Kept, plain, others=True)
    assert kept == Kept({"a": (1.0, 2.5)})
    assert codec.encode(kept) == {"parts": {"a": [1.0, 2.5]}}
    with pytest.raises(NaqshError, match="of tomorrow"):
        codec.decode(Kept, plain)
    for wrong, where in (({"a": [1, "x"]}, r"parts\.a"), ({"a": 3}, r"parts\.a"), ([], "parts")):
        with pytest.raises(NaqshError, match=where):
            codec.decode(Kept, {"parts": wrong}, others=True)
