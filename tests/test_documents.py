"""Documents name modules where they are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_python_file_that_is_named_is_there(path: Path) -> None:
    named = re.findall(r"`([a-z_/]+/[a-z_]+\.py)`", path.read_text(encoding="utf-8"))
    places = ROOT, ROOT / "src", ROOT / "src/naqsh"
    assert [name for name in named if not any((place / name).is_file() for place in places)] == []
