"""Draw docs/images/architecture.svg: the rooms of Naqsh and which imports which.

    python tools/draw_architecture.py            # writes the file
    python tools/draw_architecture.py --check    # exit 1 if the file is not what the imports give

A room stands above all that it imports. An arrow that follows from others (from a to b and from b
to c, so from a to c) is left out. The code is read, not run: imports inside functions count, those
for types alone do not.
"""

import argparse
import ast
import html
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "naqsh"
OUT = ROOT / "docs" / "images" / "architecture.svg"

WIDTH, HEIGHT, GAP, ROW = 132, 46, 30, 84
MARGIN = 18
PLACES = {
    "cli": (1.5, 0, "from a terminal"),
    "api": (1.5, 1, "from Python"),
    "lessons": (2.5, 1, "checked by computing"),
    "studies": (1.5, 2, "evaluate, detect, …"),
    "report": (1, 3, "pages from files"),
    "training": (2, 3, "the loop"),
    "runs": (1.5, 4, "the folder, its files"),
    "recipes": (1.5, 5, "hyperparameters"),
    "methods": (1.5, 6, "one module each"),
    "data": (0, 7, "sets, folders, arrays"),
    "flows": (1, 7, "bijections"),
    "diffusion": (2, 7, "schedules, samplers"),
    "adversarial": (3, 7, "objectives, penalties"),
    "metrics": (4, 7, "functions of arrays"),
    "captions": (0, 8, "sentences, encoders"),
    "io": (0.5, 9, "files, PNG, downloads"),
    "networks": (2.5, 9, "layers without a loss"),
    "core": (1.5, 10, "batch, method, noise"),
}
"""Column and row of each room, from the left and the top, and a few words on it."""


def imports(tree: ast.AST) -> Iterator[str]:
    """The rooms that a module imports from, outside of ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("naqsh.") and not name.startswith("naqsh.__"):
                yield name.split(".")[1]
        yield from imports(node)


def rooms() -> dict[str, set[str]]:
    """What each room imports."""
    graph: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room.startswith("__"):
            continue
        found = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
        graph.setdefault(room, set()).update(found - {room})
    return graph


def below(graph: dict[str, set[str]], room: str) -> set[str]:
    """All that a room stands on, directly or not."""
    found: set[str] = set()
    todo = list(graph[room])
    while todo:
        if (one := todo.pop()) not in found:
            found.add(one)
            todo += graph[one]
    return found


def arrow(room: str, other: str) -> str:
    """A line from a room down to one that it imports; a long one leaves by the side."""
    x, y = corner(room)
    to_x, to_y = corner(other)
    end_x, end_y = to_x + WIDTH / 2, to_y - 2
    if PLACES[other][1] - PLACES[room][1] > 1 and abs(to_x - x) > WIDTH:
        start_x, start_y = x + WIDTH * (to_x > x), y + HEIGHT / 2
        way = f"C{end_x:g} {start_y:g} {end_x:g} {start_y:g} {end_x:g} {end_y:g}"
    else:
        start_x, start_y = x + WIDTH / 2, y + HEIGHT
        bend = (end_y - start_y) / 2
        way = f"C{start_x:g} {start_y + bend:g} {end_x:g} {end_y - bend:g} {end_x:g} {end_y:g}"
    return (
        f'<path d="M{start_x:g} {start_y:g}{way}" fill="none" stroke="#888" stroke-width="1.2" '
        'marker-end="url(#tip)"/>'
    )


def corner(room: str) -> tuple[float, float]:
    """The upper left corner of a room."""
    column, row, _ = PLACES[room]
    return MARGIN + column * (WIDTH + GAP), MARGIN + row * ROW


def draw() -> str:
    """The image as SVG; raises SystemExit where a room has no place, or an arrow goes up."""
    graph = rooms()
    if wrong := graph.keys() ^ PLACES.keys():
        raise SystemExit(f"give PLACES what the code has: {', '.join(sorted(wrong))}")
    arrows = {
        room: others - set().union(*(below(graph, one) for one in others))
        for room, others in graph.items()
    }
    for room, others in arrows.items():
        for other in others:
            if PLACES[other][1] <= PLACES[room][1]:
                raise SystemExit(f"{room} imports {other}, which does not stand below it")
    width = MARGIN * 2 + WIDTH + max(column for column, _, _ in PLACES.values()) * (WIDTH + GAP)
    height = MARGIN * 2 + HEIGHT + max(row for _, row, _ in PLACES.values()) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        'font-family="system-ui, sans-serif" role="img">',
        "<title>The rooms of Naqsh: each imports from those below it</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#888"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
    ]
    lines += [arrow(room, other) for room in sorted(arrows) for other in sorted(arrows[room])]
    for room, (_, _, what) in PLACES.items():
        x, y = corner(room)
        lines += [
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eef3f8" '
            'stroke="#4a6f94"/>',
            f'<text x="{x + WIDTH / 2:g}" y="{y + 19:g}" text-anchor="middle" font-size="14" '
            f'font-weight="600" fill="#1d2f41">{room}</text>',
            f'<text x="{x + WIDTH / 2:g}" y="{y + 36:g}" text-anchor="middle" font-size="11" '
            f'fill="#3c4a57">{html.escape(what)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def main() -> int:
    """Write the image, or check it."""
    parser = argparse.ArgumentParser(description="Draw the rooms of Naqsh from its imports.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it is old")
    drawn = draw()
    if parser.parse_args().check:
        fits = OUT.exists() and OUT.read_text(encoding="utf-8") == drawn
        print("the image fits" if fits else "the image is old: run this without --check")
        return 0 if fits else 1
    OUT.write_text(drawn, encoding="utf-8")
    print(OUT.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
