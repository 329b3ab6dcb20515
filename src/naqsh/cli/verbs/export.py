"""A run in one file."""

import argparse
import sys
from pathlib import Path
from typing import Any

from naqsh.cli.parsing import add_overwrite, add_run, none_left, verb
from naqsh.core.errors import NaqshError
from naqsh.core.printable import shown


def add(verbs: Any) -> None:
    """The options of `export`."""
    parser = verb(
        verbs,
        "export",
        "Write a run to one file without optimiser state, which any verb takes for the run.",
        "  naqsh export runs/gan-digits gan-digits.zip\n"
        "  naqsh sample gan-digits.zip --out grid.png\n"
        "  naqsh export runs/maf-digits maf.safetensors --weights best\n"
        "a .zip has the recipe, weights, logs, results and the images of reports; a\n"
        ".safetensors the weights alone, with the recipe in their header. Neither can be\n"
        "trained further",
    )
    add_run(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="FILE.zip or FILE.safetensors")
    add_overwrite(parser, "a file that is no such zip")
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh.runs import export, packed

    run = packed.folder(options.run)
    if options.weights == "best" and options.file.suffix.lower() == ".zip":
        raise NaqshError("a zip holds the last weights and the best: leave --weights out")
    made = export.write(run, options.file, weights=options.weights, overwrite=options.overwrite)
    left = f"; {made.left_out / 1e6:,.1f} MB of optimiser state left out" if made.left_out else ""
    print(f"{shown(made.path)}: {made.size / 1e6:,.1f} MB{left}", file=sys.stderr)
    print(made.path)
    return 0
