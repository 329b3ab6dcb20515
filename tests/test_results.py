"""Files of results: nothing is lost, nothing is taken for another, older files are read."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from naqsh.core.errors import NaqshError
from naqsh.runs import kept
from naqsh.runs.folder import RunFolder
from naqsh.runs.results import FORMAT, Result, Store, differences, groups

OF = {"metric": "m", "n": 10, "sampling": {"steps": 3}, "seed": 0}


def _refused(plain: Any) -> list[Result]:
    raise ValueError("it is not of before")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results.json", _refused)


@pytest.mark.parametrize(
    "other",
    [{"metric": "k"}, {"n": 11}, {"sampling": {"steps": 4}}, {"sampling": {}}, {"seed": None}],
)
def test_only_the_same_thing_is_replaced(store: Store, other: dict[str, Any]) -> None:
    first, second = Result(OF, {"value": 1.0}), Result(OF | other, {"value": 2.0})
    store.keep([first])
    assert store.keep([second]) == store.read() == [first, second]
    newer = Result(OF, {"value": 3.0})
    assert store.keep([newer]) == store.read() == [second, newer]
    assert store.find(**OF) == [newer]


def test_what_is_made_equals_what_is_read(store: Store) -> None:
    made = Result({"of": (1, 2)}, {"interval": (0.1, 0.2)})
    assert store.keep([made]) == store.read() == [made]
    assert store.find(of=(1, 2)) == [made]
    assert made.digest == store.read()[0].digest


def test_two_that_write_at_once_both_stay(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.keep([Result({"n": n}, {})]), range(24)))
    assert {result.of["n"] for result in store.read()} == set(range(24))


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "3",
        "{}",
        '{"results": []}',
        '{"format": 99, "results": []}',
        '{"format": 2, "results": 3}',
        '{"format": 2, "results": [3]}',
        '{"format": 2, "results": [{"of": {}}]}',
        '{"format": 2, "results": [{"of": {}, "found": 3}]}',
    ],
)
def test_a_damaged_file_is_told_and_not_written_over(store: Store, content: str) -> None:
    store.path.write_text(content)
    for ask in (store.read, lambda: store.keep([Result(OF, {})])):
        with pytest.raises(NaqshError, match=r"results\.json is damaged"):
            ask()
    assert store.path.read_text() == content


def test_groups_are_of_the_same_thing_and_the_latest_is_last() -> None:
    a, b = ({"n": n, "metric": "x"} for n in (1, 2))
    results = [Result(a, {}), Result(b, {}), Result(a | {"metric": "y"}, {})]
    assert groups(results, ["metric"]) == [[results[1]], [results[0], results[2]]]
    assert differences([r.of for r in results[:2]]) == [{"n": 1}, {"n": 2}]


MEASURE = {"name": "fid", "value": 1.5, "n_real": 9, "n_generated": 8, "features": "pixels"}
MEASURE |= {"fingerprint": "f" * 16, "reference": "d test", "standard_error": None, "notes": []}
EVALUATION = {"step": 3, "seed": 1, "measures": [MEASURE], "speed": {"n": 8}, "sampling": {}}


@pytest.mark.parametrize("name", [*MEASURE, "reference_fingerprint"])
def test_a_measure_is_of_all_that_it_depends_on(name: str) -> None:
    """And of none of what was found: a second measurement of the same replaces the first."""
    plain = MEASURE | {"name": "frechet", "reference_fingerprint": "a" * 16}
    one, other = (kept.measured(it, {"seed": 0}) for it in (plain, plain | {name: "other"}))
    assert (one.of != other.of) == (name not in ("value", "standard_error", "notes"))
    assert kept.measure_of(other) == plain | {name: "other"}


def test_files_of_before_are_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.evaluation.write_text(json.dumps(EVALUATION))
    store = kept.evaluations(folder)
    measured, speed = store.read()
    assert (measured.of["n"], measured.of["n_real"], measured.found["value"]) == (8, 9, 1.5)
    assert measured.of["reference_fingerprint"] is None
    known = MEASURE | {"name": "frechet", "reference_fingerprint": None}
    assert kept.measure_of(measured) == known  # it was no FID
    store.keep([Result(OF, {})])
    assert store.read() == [measured, speed, Result(OF, {})]
    assert json.loads(folder.evaluation.read_text())["format"] == FORMAT
