"""Every family side by side."""

import argparse
import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

from naqsh.cli.machine import add_data_home, add_device
from naqsh.cli.parsing import Several, add_skip_broken_of_recipe, names, numbers, only, verb
from naqsh.core.errors import NaqshError


def add(verbs: Any) -> None:
    """The options of `compare`."""
    parser = verb(
        verbs,
        "compare",
        "Train one recipe of each family under one budget, measure all alike, write one report.",
        "  naqsh compare                                  digits, minutes on two cores\n"
        "  naqsh compare --data mnist --minutes 60 --n 10000\n"
        "  naqsh compare --data mnist --minutes 5,15,45   distance against minutes\n"
        "  naqsh compare --recipes vae-digits ddpm-digits --images 300000\n"
        "  naqsh compare --data mnist --recipes ddpm-mnist --runs runs/gan-mnist\n"
        "  naqsh compare --data photos.npz --data.range 0,1 --data.key images\n"
        "  naqsh compare --recipes cyclegan-horse2zebra-64 --override method.identity=0 \\\n"
        "      --override method.pool=0                   what two parts are good for\n"
        "how the data are read (--data.range, --data.key, --data.size, …) goes for every recipe;\n"
        "`naqsh train RECIPE --help` lists these options",
    )
    parser.add_argument(
        "--data", help="a name, folder or file (default: that of the runs, or digits)"
    )
    parser.add_argument(
        "--recipes",
        nargs="+",
        type=names,
        action=Several,
        default=[],
        help="recipes to train (default: one of each family)",
    )
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="NAME=VALUE[,NAME=VALUE]",
        help="train each recipe also with these values, for as many steps; may be given again for "
        "a further variant",
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=[],
        help="trained runs (folders, zips or weights files), taken as they are",
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--minutes",
        nargs="+",
        type=numbers,
        action=Several,
        default=[3.5],
        help="of training for all together; under each of several (5,15,45: 65 in all) every "
        "recipe is trained anew (default 3.5)",
    )
    budget.add_argument(
        "--images", dest="pictures", type=int, help="that each recipe sees, instead of minutes"
    )
    parser.add_argument(
        "--n", type=int, help="images drawn of each (default: as most of the runs had it, or 2000)"
    )
    parser.add_argument(
        "--reference",
        choices=["test", "train"],
        default="test",
        help="real images (default test; a tenth is held out where a set has no test split)",
    )
    parser.add_argument("--features", help="one of `naqsh list features`")
    parser.add_argument("--seed", type=int, default=0, help="of trainings and samples (default 0)")
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="trainings of each recipe, of neighbouring seeds; from 2 on, intervals and verdicts "
        "are over trainings (default 1)",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/compare"), help="the folder")
    add_device(parser)
    add_data_home(parser)
    parser.add_argument("--language", default="en", help="of the report: en or fa (default en)")
    add_skip_broken_of_recipe(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(do=_do)


def _variant(text: str) -> dict[str, str]:
    """The changes of a variant: a comma before a name and its sign parts two of them."""
    changes: dict[str, str] = {}
    for part in re.split(r",(?=[\w.]+=)", text):
        name, sign, value = part.partition("=")
        if not (name and sign and value):
            raise NaqshError(f"--override needs NAME=VALUE, as in method.pool=0, got {text}")
        changes[name] = value
    return changes


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    from naqsh.recipes.recipe import Data
    from naqsh.studies import comparison

    fields = (field.name for field in dataclasses.fields(Data) if field.name != "name")
    only(named, [f"data.{name}" for name in fields], options)
    reading = dict(named)
    if options.skip_broken:
        reading["data.skip_broken"] = options.skip_broken
    plan = comparison.Plan(
        data=options.data,
        recipes=tuple(options.recipes),
        runs=tuple(str(path) for path in options.runs),
        minutes=tuple(options.minutes),
        pictures=options.pictures,
        n=options.n,
        features=options.features,
        seed=options.seed,
        seeds=options.seeds,
        reference=options.reference,
        reading=reading,
        variants=tuple(map(_variant, options.override)),
    )
    made = comparison.compare(
        plan,
        options.out,
        device=options.device,
        data_home=options.data_home,
        language=options.language,
        quiet=options.quiet,
    )
    if not options.quiet:
        print("\n".join(f"note: {caution}" for caution in made.cautions), file=sys.stderr)
    print(made.page)
    if made.failed:
        said = "; ".join(f"{entry.folder}: {entry.error}" for entry in made.failed)
        raise NaqshError(f"not compared, and tried again by the same command: {said}")
    return 0
