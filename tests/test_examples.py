"""Examples in docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import naqsh

SOURCE = Path(naqsh.__file__).parent
WITH_EXAMPLES = sorted(
    file.relative_to(SOURCE) for file in SOURCE.rglob("*.py") if ">>>" in file.read_text("utf-8")
)


def test_there_are_examples():
    assert WITH_EXAMPLES


@pytest.mark.parametrize("file", WITH_EXAMPLES, ids=str)
def test_examples_give_what_they_say(file):
    module = importlib.import_module(".".join((naqsh.__name__, *file.with_suffix("").parts)))
    done = doctest.testmod(module)
    assert done.attempted
    assert not done.failed
    assert "doctest:" not in (SOURCE / file).read_text("utf-8"), "an example that is left out"
