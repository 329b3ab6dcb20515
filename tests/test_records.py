"""Each file that a run leaves has one schema: old ones are read, later ones' keys passed over."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from naqsh.core.errors import NaqshError
from naqsh.runs import records

OLD = Path(__file__).parent / "old_run"
FORMER = "diversity"
"""A key of stages that is read by nothing now."""


def _lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (OLD / name).read_text().splitlines()]


def _json(name: str) -> Any:
    return json.loads((OLD / name).read_text())


FILES: list[tuple[type, list[Any]]] = [
    (records.About, [_json("run.json")]),
    (records.Layer, [layer for layers in _json("networks.json").values() for layer in layers]),
    (records.Record, _lines("metrics.jsonl")),
    (records.Stage, _lines("stages.jsonl")),
    (records.Saved, [_json("checkpoints/00000006/state.json")]),
]


@pytest.mark.parametrize(("cls", "written"), FILES, ids=[cls.__name__ for cls, _ in FILES])
def test_what_an_old_run_left_is_read_and_written_again(cls: type, written: list[Any]) -> None:
    assert written
    for plain in written:
        again = json.loads(json.dumps(records.plain(records.read(cls, plain))))
        plain = {name: value for name, value in plain.items() if name != FORMER}
        assert {name: again[name] for name in plain} == plain | (
            # What was said later has its default.
            {"data": plain["data"] | {"notes": [], "place": ""}} if cls is records.About else {}
        )


@pytest.mark.parametrize(("cls", "written"), FILES, ids=[cls.__name__ for cls, _ in FILES])
def test_keys_of_a_later_version_are_passed_over(cls: type, written: list[Any]) -> None:
    for plain in written:
        assert records.read(cls, plain | {"weather": "fair"}) == records.read(cls, plain)


@pytest.mark.parametrize(
    ("cls", "change", "words"),
    [
        (records.About, {"parameters": "many"}, "parameters: need a whole number"),
        (records.Record, {"losses": [1.0]}, "losses: need named values"),
        (records.Saved, {"seconds": -1.0}, "a time or step is below 0"),
        (records.Saved, {"pending": {"a.total": [1.0, 0]}}, "pending needs"),
        (records.Stage, {"weights": {"a": {"edges": [0.0], "counts": [1.0]}}}, "one edge more"),
        (records.Layer, {"output": [None]}, "output: need a whole number"),
    ],
)
def test_what_does_not_fit_is_named(cls: type, change: dict[str, Any], words: str) -> None:
    (first, *_) = dict(FILES)[cls]
    with pytest.raises(NaqshError, match=words) as error:
        records.read(cls, first | change)
    assert "\n" not in str(error.value)


def test_records_need_no_torch() -> None:
    code = "import sys, naqsh.runs.records; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
