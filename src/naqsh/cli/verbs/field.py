"""The score of a model of points, drawn."""

import argparse
import json
from pathlib import Path
from typing import Any

from naqsh.cli.machine import add_machine, add_own_data, at_work
from naqsh.cli.parsing import add_run, none_left, verb


def add(verbs: Any) -> None:
    """The options of `field`."""
    parser = verb(
        verbs,
        "field",
        "Draw the score that a model of points has learnt beside the exact one.",
        "  naqsh field runs/ncsn-ring\n"
        "  naqsh field runs/ddpm-ring --out field.png\n"
        "three levels of noise a row each: arrows of the score over the density, with\n"
        "chains of Langevin dynamics, and how far the learnt score is from the exact one",
    )
    add_run(parser, "; RUN/field.png is written")
    parser.add_argument("--n", type=int, default=2000, help="noisy points (default 2000)")
    parser.add_argument("--out", type=Path, help="the PNG instead of RUN/field.png")
    parser.add_argument("--overwrite", action="store_true", help="replace a file of others")
    add_own_data(parser)
    add_machine(parser, "of points and noise")
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh import api as run
    from naqsh.studies import field

    trained = run.open(options.run, options.weights)
    path = options.out or trained.folder.path / "field.png"
    with at_work(options) as machine:
        found = field.study(
            trained, path, options.n, machine, data=options.data, overwrite=options.overwrite
        )
    print(json.dumps(found, indent=1) if options.json else field.table(found))
    return 0
