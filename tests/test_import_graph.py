"""Imports go one way. This walks all of them, also those inside functions."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import naqsh

SOURCE = Path(naqsh.__file__).parent

LAYERS = [  # from the bottom: each may import those before it
    *("printable", "errors", "aside", "values"),
    *("foreign", "headers", "zips", "places", "seeds", "terminal", "progress", "download"),
    *(
        "spec",
        "codec",
        "options",
        "noise",
        "distances",
        "inline",
        "runfolder",
        "packed",
        "outputs",
        "results",
        "kept",
        "influences",
        "export",
    ),
    *("pictures", "environment", "ranks", "precision", "core"),
    *("networks", "flows", "diffusion", "methods", "recipe", "recipes", "training"),
    *("loading", "origin", "sampling", "run"),
    *("launch", "floor", "measuring", "ready", "evaluated", "evaluation"),
    *("samplers", "bounds", "detection", "tune"),
    *("comparison", "cli"),
]
SIDE = {  # these stand beside: all that each may import
    "data": {
        *("printable", "errors", "aside", "foreign", "zips", "places", "seeds", "progress"),
        "download",
    },
    "metrics": {
        "errors",
        "aside",
        "distances",
        "foreign",
        "places",
        "seeds",
        "download",
        "networks",
    },
    "report": {
        *(
            "printable",
            "errors",
            "values",
            "distances",
            "foreign",
            "runfolder",
            "packed",
            "results",
            "kept",
            "influences",
            "pictures",
        ),
    },
}
USERS = {  # who may import what stands beside
    "data": {
        *("training", "origin", "run", "launch", "floor", "measuring", "evaluation"),
        *("samplers", "bounds"),
        *("ready", "detection", "tune", "comparison", "cli"),
    },
    "metrics": {
        "training",
        "run",
        "floor",
        "measuring",
        "ready",
        "evaluated",
        "evaluation",
        "samplers",
        "detection",
        "tune",
        "comparison",
        "cli",
    },
    "report": {"run", "evaluation", "tune", "comparison", "cli"},
}
APART = {("training", "methods")}  # the trainer knows no method by name
DOORS = {("run", "evaluation"), ("run", "detection")}  # a Run opens them when it is asked to
TOP = {"__init__", "__main__"}


def imports(source: str, package: list[str]) -> Iterator[str]:
    """The parts of naqsh that a module imports, by the first name below naqsh.

    Args:
        source: the module's text.
        package: of which it is a part, for relative imports, for example ``["naqsh", "data"]``.
    """

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            yield child
            yield from walk(child)

    for node in walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "naqsh" and rest and not rest[0].startswith("__"):
                yield rest[0]


def wrong(who: str, whom: str) -> str | None:
    """Why `who` may not import `whom`, if it may not."""
    if who == whom or who in TOP or (who, whom) in DOORS:
        return None
    if who in SIDE:
        return None if whom in SIDE[who] else f"{who} stands beside and may not know {whom}"
    if whom in USERS:
        return None if who in USERS[whom] else f"{who} may not know {whom}"
    if (who, whom) in APART or whom not in LAYERS or LAYERS.index(whom) > LAYERS.index(who):
        return f"{who} may not know {whom}"
    return None


def modules() -> dict[Path, str]:
    """Every module's file and the part of naqsh that it belongs to."""
    return {
        path: path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for path in sorted(SOURCE.rglob("*.py"))
    }


def test_every_part_has_its_place():
    assert set(modules().values()) <= {*LAYERS, *SIDE, *TOP}


def test_no_arrow_goes_up():
    found, count = [], 0
    for path, who in modules().items():
        package = ["naqsh", *path.relative_to(SOURCE).parts[:-1]]
        for whom in imports(path.read_text(encoding="utf-8"), package):
            count += 1
            if why := wrong(who, whom):
                found.append(f"{path.relative_to(SOURCE)}: {why}")
    assert not found, "\n".join(found)
    assert count > 100


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import naqsh.api", ["run"]),
        ("from naqsh import data, metrics", ["data", "metrics"]),
        ("def f():\n    from naqsh.training.loop import Trainer", ["training"]),
        ("try:\n    import naqsh.cli as c\nfinally:\n    pass", ["cli"]),
        ("from . import x\nfrom .y import z\nfrom .. import run", ["methods", "methods", "run"]),
        ("if TYPE_CHECKING:\n    import naqsh.api\nelse:\n    pass", []),
        ("import torch\nimport naqsh\nfrom naqsh import __version__\nimport naqshbandi.x", []),
    ],
)
def test_the_walk_sees_every_way_to_import(source, seen):
    assert list(imports(source, ["naqsh", "methods"])) == seen


@pytest.mark.parametrize(
    ("who", "whom"),
    [
        ("core", "methods"),
        ("methods", "training"),
        ("methods", "data"),
        ("networks", "core_"),
        ("training", "methods"),
        ("training", "run"),
        ("data", "core"),
        ("metrics", "training"),
        ("report", "core"),
        ("run", "cli"),
        ("errors", "codec"),
    ],
)
def test_arrows_that_go_up_are_seen(who, whom):
    assert wrong(who, whom)


LIGHT = """
import sys
def heavy():
    return {"torch", "sklearn", "scipy", "requests", "optuna"} & set(sys.modules)
import naqsh
assert not heavy() | ({"numpy", "yaml"} & set(sys.modules)), "import naqsh"
from naqsh.cli import main
for words in (["--help"], ["--version"], ["train", "--help"], ["sample", "--help"]):
    try:
        main(words)
    except SystemExit as leave:
        assert leave.code == 0
    assert not heavy(), (words, heavy())
for words in (["list"], ["list", "recipes"], ["list", "data"], ["nonsense"]):
    assert main(words) == (2 if words == ["nonsense"] else 0)
    assert not heavy(), (words, heavy())
assert main(["report", sys.argv[1], "--out", sys.argv[2]]) == 0
assert not heavy(), ("report", heavy())
"""


def test_help_lists_and_reports_start_without_torch(finished, tmp_path):
    page = tmp_path / "report.html"
    command = [sys.executable, "-c", LIGHT, str(finished), str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "gan-digits" in done.stdout
    assert page.stat().st_size > 1000


def test_every_public_name_is_there():
    for name in naqsh.__all__:
        assert getattr(naqsh, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = naqsh.nothing
