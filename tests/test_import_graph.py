"""Imports go one way. This walks all of them, also those inside functions."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import naqsh

SOURCE = Path(naqsh.__file__).parent

ROOMS = [  # from the bottom: each may import those before it
    *("core", "io", "networks", "captions", "data", "flows", "diffusion", "adversarial"),
    *("metrics", "methods", "recipes"),
    *("runs", "training", "report", "studies", "lessons", "api", "cli"),
]
BESIDE = {  # what these may import of the rooms before them, where it is not all
    "core": set(),
    "io": {"core"},
    "captions": {"core", "io", "networks"},
    "data": {"core", "io", "captions"},
    "networks": {"core"},
    "flows": {"core", "networks"},
    "diffusion": {"core", "networks"},
    "adversarial": {"core", "networks"},
    "metrics": {"core", "io", "networks"},
    "methods": {"core", "networks", "flows", "diffusion", "adversarial"},
    "report": {"core", "io", "runs"},  # it reads files: no model, no data
    # It knows no method by name.
    "training": {"core", "io", "captions", "data", "metrics", "recipes", "runs"},
}
TOP = {"__init__", "__main__"}


def dotted(source: str, package: list[str]) -> Iterator[str]:
    """The names below naqsh that a module imports, with dots.

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
        yield from (name for name in names if re.match(r"naqsh\.(?!__)", name))


def imports(source: str, package: list[str]) -> Iterator[str]:
    """The rooms that a module imports from; as :func:`dotted`."""
    return (name.split(".")[1] for name in dotted(source, package))


def wrong(who: str, whom: str) -> str | None:
    """Why room `who` may not import room `whom`, if it may not."""
    if who == whom or who in TOP:
        return None
    below = ROOMS[: ROOMS.index(who)] if who in ROOMS else []
    if whom in BESIDE.get(who, below) and whom in below:
        return None
    return f"{who} may not know {whom}"


def modules() -> dict[Path, str]:
    """Every module's file and the part of naqsh that it belongs to."""
    return {
        path: path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for path in sorted(SOURCE.rglob("*.py"))
    }


def test_every_part_has_its_place():
    assert set(modules().values()) == {*ROOMS, *TOP}


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


def test_no_module_is_reached_from_itself():
    names = {
        ".".join(("naqsh", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in modules()
    }

    def imported(path: Path) -> set[str]:
        package = ["naqsh", *path.relative_to(SOURCE).parts[:-1]]
        found = set()
        for name in dotted(path.read_text(encoding="utf-8"), package):
            while name not in names and "." in name:
                name = name.rpartition(".")[0]
            found.add(name)
        return found & set(names)

    graph = {name: imported(path) - {name, "naqsh"} for name, path in names.items()}
    order = graphlib.TopologicalSorter(graph)
    order.prepare()  # raises CycleError, which names the modules
    assert sum(map(len, graph.values())) > 500


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import naqsh.api", ["api"]),
        ("from naqsh import data, metrics", ["data", "metrics"]),
        ("def f():\n    from naqsh.training.loop import Trainer", ["training"]),
        ("try:\n    import naqsh.cli as c\nfinally:\n    pass", ["cli"]),
        ("from . import x\nfrom .y import z\nfrom .. import api", ["methods", "methods", "api"]),
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
        ("networks", "nonsense"),
        ("training", "methods"),
        ("training", "studies"),
        ("runs", "training"),
        ("data", "runs"),
        ("metrics", "training"),
        ("report", "data"),
        ("studies", "api"),
        ("core", "io"),
    ],
)
def test_arrows_that_go_up_are_seen(who, whom):
    assert wrong(who, whom)


def test_the_picture_of_the_rooms_is_what_the_imports_give():
    tool = SOURCE.parent.parent / "tools" / "draw_architecture.py"
    command = [sys.executable, str(tool), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


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
for words in (["list"], ["list", "recipes"], ["list", "data"], ["lesson"], ["nonsense"]):
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
