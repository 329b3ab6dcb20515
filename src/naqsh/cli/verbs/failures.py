"""The failures of GANs and what is tried against them."""

import argparse
import contextlib
import os
from pathlib import Path
from typing import Any

from naqsh.cli.machine import counting
from naqsh.cli.parsing import Several, names, none_left, verb


def add(verbs: Any) -> None:
    """The options of `failures`."""
    parser = verb(
        verbs,
        "failures",
        "Show the failures of GANs by numbers, and which remedies help, on points in the plane.",
        "  naqsh failures                                 both sets, all remedies\n"
        "  naqsh failures --data ring --only r1 packing --seeds 3\n"
        "  naqsh failures --steps 500 --out runs/quick\n"
        "a study that was stopped goes on by the same command; further sets and remedies add to "
        "it; the plain GAN always stands beside them",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        type=names,
        action=Several,
        default=["ring", "grid"],
        help="sets of points (default ring grid)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        type=names,
        action=Several,
        default=[],
        metavar="REMEDY",
        help="these remedies alone (default: all)",
    )
    parser.add_argument("--steps", type=int, default=1000, help="of each training (default 1000)")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (default 0)")
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes that share the work (default: one a core)",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/failures"), help="the folder")
    parser.add_argument("--language", default="en", help="of the page: en or fa (default en)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh.core.progress import silent
    from naqsh.studies import failures

    trial = failures.trial(options.data, options.only, options.seeds, options.seed, options.steps)
    with contextlib.ExitStack() as stack:
        progress = silent if options.quiet else stack.enter_context(counting())
        page = failures.study(
            trial,
            options.out,
            language=options.language,
            workers=options.workers,
            progress=progress,
            quiet=options.quiet,
        )
    print(page)
    return 0
