"""The verbs that show what there is: list, report."""

import argparse
import sys
from pathlib import Path
from typing import Any

from naqsh.cli.helping import aligned
from naqsh.cli.parsing import RUN, add_overwrite, none_left, verb

FEATURES = {
    "digits": "a small classifier of the digits set; weights come with the package",
    "mnist": "a small classifier of MNIST; weights come with the package",
    "inception": "Inception-v3 as in pytorch-fid; weights are downloaded at first use, 92 MB",
    "pixels": "the pixels themselves; a baseline",
    "random": "filters that were never trained: colours and textures of any images; no weights",
    "classifier:RUN": "a classifier of yours, from `naqsh train classifier-mnist --data …`",
}


def add_list(verbs: Any) -> None:
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
    parser.set_defaults(do=_list)


def _list(options: argparse.Namespace, named: dict[str, str]) -> int:
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
        size = f"{counts} of {height}x{width}x{channels}"
        rows[name] = f"{size}, {kinds}, {entry.licence}; {entry.how}"
    title = "Data sets, for `--data`, besides any folder of images, .npz or .npy file"
    return f"{title}\n\n{aligned(rows, max(map(len, rows)))}"


def _features() -> str:
    return f"Features, for `--features`\n\n{aligned(FEATURES, max(map(len, FEATURES)))}"


def add_report(verbs: Any) -> None:
    """The options of `report`."""
    parser = verb(
        verbs,
        "report",
        "Write one self-contained page about a run, or about several side by side.",
        "  naqsh report runs/gan-digits\n"
        "  naqsh report runs/wgan-mnist runs/wgan-gp-mnist --out compare.html\n"
        "  naqsh report runs/gan-digits --language fa --notebook gan-digits.ipynb",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help=RUN)
    parser.add_argument("--out", type=Path, help="the page (default: report.html in the first run)")
    parser.add_argument(
        "--language", default="en", metavar="en|fa", help="English or Persian (default: en)"
    )
    parser.add_argument(
        "--notebook", type=Path, metavar="FILE.ipynb", help="write the same as an executed notebook"
    )
    add_overwrite(parser, "a page or notebook that Naqsh did not write")
    parser.set_defaults(do=_report)


def _report(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh import report
    from naqsh.io import outputs
    from naqsh.runs import packed

    language, first = options.language, options.runs[0]
    own = packed.folder(first).path if first.is_file() else first
    out = options.out or own / "report.html"
    for file, kind in ((options.out, "page"), (options.notebook, "notebook")):
        if file:
            outputs.require_name(file, kind)
            outputs.require_file(file, options.overwrite)
    if options.notebook:  # first: it may want packages that are missing
        print(report.write_notebook(options.runs, options.notebook, language))
    print(report.write(options.runs, out, language))
    return 0
