"""Writing a page about runs."""

import argparse
from pathlib import Path
from typing import Any

from naqsh.cli.parsing import RUN, add_overwrite, none_left, verb


def add(verbs: Any) -> None:
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
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
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
