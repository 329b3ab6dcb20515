"""What there is: recipes, data sets, features."""

import argparse
import sys
from typing import Any

from naqsh.cli.helping import aligned
from naqsh.cli.parsing import none_left, verb

FEATURES = {
    "digits": "a small classifier of the digits set; weights come with the package",
    "mnist": "a small classifier of MNIST; weights come with the package",
    "shapes": "a small reader of rendered scenes, of any size; weights come with the package",
    "stacked-mnist": "the features mnist of each of three digits, and which of 1,000 modes it is",
    "ring": "coordinates and modes of points; so have grid, swiss-roll and moons their own",
    "inception": "Inception-v3 as in pytorch-fid; weights are downloaded at first use, 92 MB",
    "pixels": "the pixels themselves; a baseline",
    "random": "filters that were never trained: colours and textures of any images; no weights",
    "classifier:RUN": "a classifier of yours, from `naqsh train classifier-mnist --data …`",
}


def add(verbs: Any) -> None:
    """The options of `list`."""
    parser = verb(
        verbs,
        "list",
        "Show the recipes, the data sets, the features, or all of them.",
        "  naqsh list\n  naqsh list data",
    )
    parser.add_argument(
        "list", nargs="?", choices=["recipes", "data", "features"], help="one of them"
    )
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    parts = {"recipes": _recipes, "data": _data, "features": _features}
    print("\n\n".join(parts[name]() for name in ([options.list] if options.list else parts)))
    return 0


def _recipes() -> str:
    """Every recipe by family; a family is a module, and its docstring begins with its name."""
    from naqsh.recipes import all_recipes

    families: dict[str, dict[str, str]] = {}
    known = all_recipes()
    for name, function in known.items():
        family = _first_line(sys.modules[function.__module__].__doc__)
        families.setdefault(family, {})[name] = _first_line(function.__doc__)
    column = max(map(len, known))
    lists = [f"{family}\n{aligned(rows, column)}" for family, rows in sorted(families.items())]
    return "Recipes, for `naqsh train`, by family\n\n" + "\n\n".join(lists)


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0].rstrip(".")


def _data() -> str:
    from naqsh.data import CATALOG

    rows = {}
    for name, entry in CATALOG.items():
        channels, height, width = entry.shape
        counts, kinds = f"{entry.train:,} + {entry.test:,}", f"{len(entry.classes)} classes"
        if entry.domains:
            counts = f"{counts} and {' + '.join(f'{n:,}' for n in entry.second)}"
            kinds = f"two domains ({' and '.join(entry.domains)})"
        if entry.captions:
            kinds = f"{entry.captions} captions each"
        what = "points in the plane" if entry.extent else f"of {height}x{width}x{channels}"
        size = f"{counts} {what}"
        rows[name] = f"{size}, {kinds}, {entry.licence}; {entry.how}"
    title = "Data sets, for `--data`, besides any folder of images, .npz or .npy file"
    return f"{title}\n\n{aligned(rows, max(map(len, rows)))}"


def _features() -> str:
    return f"Features, for `--features`\n\n{aligned(FEATURES, max(map(len, FEATURES)))}"
