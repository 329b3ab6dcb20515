"""The verbs that show what there is: list, report."""

import argparse
from pathlib import Path
from typing import Any

from naqsh.cli.parsing import add_overwrite, none_left, verb

FEATURES = {
    "digits": "a small classifier of the digits set; weights come with the package",
    "mnist": "a small classifier of MNIST; weights come with the package",
    "inception": "Inception-v3 as in pytorch-fid; weights are downloaded at first use, 92 MB",
    "pixels": "the pixels themselves; a baseline",
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
        "what", nargs="?", choices=["recipes", "data", "features"], help="one of them"
    )
    parser.set_defaults(do=_list)


def _list(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    if options.what in (None, "recipes"):
        from naqsh.recipes import all_recipes

        print("Recipes, for `naqsh train`:")
        for name, function in all_recipes().items():
            print(f"  {name:<18} {(function.__doc__ or '').splitlines()[0]}")
    if options.what in (None, "data"):
        from naqsh.data import CATALOG

        print("Data sets, for `--data`, besides any folder of pictures, .npz or .npy file:")
        for entry in CATALOG.values():
            channels, height, width = entry.shape
            size = f"{entry.train:,} + {entry.test:,} of {height}x{width}x{channels}"
            print(f"  {entry.name:<18} {size}, {len(entry.classes)} classes, {entry.licence}")
            print(f"  {'':<18} {entry.how}")
    if options.what in (None, "features"):
        print("Features, for `--features`:")
        for name, words in FEATURES.items():
            print(f"  {name:<18} {words}")
    return 0


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
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
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
    from naqsh import outputs, report

    language = options.language
    out = options.out or options.runs[0] / "report.html"
    for file in filter(None, (options.out, options.notebook)):
        outputs.require_file(file, options.overwrite)
    if options.notebook:  # first: it may want packages that are missing
        print(report.write_notebook(options.runs, options.notebook, language))
    print(report.write(options.runs, out, language))
    return 0
