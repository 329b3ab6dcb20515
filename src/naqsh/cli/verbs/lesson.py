"""Lessons: a page or a notebook of each."""

import argparse
from pathlib import Path
from typing import Any

from naqsh.cli.helping import aligned
from naqsh.cli.parsing import add_overwrite, none_left, verb

ALL = "all"


def add(verbs: Any) -> None:
    """The options of `lesson`."""
    parser = verb(
        verbs,
        "lesson",
        "List the lessons, or write one as a page or a notebook; what it shows is computed anew.",
        "  naqsh lesson                                the list\n"
        "  naqsh lesson forward-diffusion --out forward.html\n"
        "  naqsh lesson forward-diffusion --language fa --notebook forward.ipynb\n"
        "  naqsh lesson all --language fa --out lessons",
    )
    parser.add_argument(
        "lesson", nargs="?", metavar="LESSON", help="a name out of the list, or all (default: list)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the page (default: LESSON.html here), or the folder for all (default: lessons)",
    )
    parser.add_argument(
        "--language", default="en", metavar="en|fa", help="English or Persian (default: en)"
    )
    parser.add_argument(
        "--notebook",
        type=Path,
        metavar="FILE.ipynb",
        help="write an executed notebook; the page too where --out is given",
    )
    add_overwrite(parser, "a page or notebook that Naqsh did not write")
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh import lessons
    from naqsh.core.errors import NaqshError, one_of
    from naqsh.io import outputs

    name, out, notebook = options.lesson, options.out, options.notebook
    known = lessons.names()
    if name is None:
        if out or notebook:
            raise NaqshError("which lesson? `naqsh lesson` lists them; all takes every one")
        print(aligned({n: lessons.title(n, options.language) for n in known}, max(map(len, known))))
        return 0
    if name not in (*known, ALL):
        raise one_of("lesson", name, [*known, ALL])
    if name == ALL:
        if notebook:
            raise NaqshError("--notebook takes one lesson; write the pages of all with --out")
        for page in lessons.write_all(out or Path("lessons"), options.language, options.overwrite):
            print(page)
        return 0
    if notebook is None:
        out = out or Path(f"{name}.html")
    for file, kind in ((out, "page"), (notebook, "notebook")):
        if file:
            outputs.require_name(file, kind)
            outputs.require_file(file, options.overwrite)
    if notebook:  # first: it may want packages that are missing
        print(lessons.write_notebook(name, notebook, options.language))
    if out:
        print(lessons.write(name, out, options.language))
    return 0
