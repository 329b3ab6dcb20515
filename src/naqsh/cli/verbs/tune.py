"""A search for better hyperparameters."""

import argparse
from pathlib import Path
from typing import Any

from naqsh.cli import helping
from naqsh.cli.machine import add_data_home, add_device
from naqsh.cli.overrides import overrides
from naqsh.cli.parsing import add_skip_broken_of_recipe, verb


def add(verbs: Any) -> None:
    """The options of `tune`."""
    parser = verb(
        verbs,
        "tune",
        "Search for better hyperparameters of a recipe; several processes may share a folder.",
        "  naqsh tune gan-digits --trials 20\n"
        "  naqsh tune gan-mnist --trials 30 --epochs 2 \\\n"
        "      --search method.critic.lr=1e-4:1e-2:log --search training.batch=32,64,128",
    )
    parser.add_argument("recipe", help="a name from `naqsh list`, or a recipe.yaml")
    parser.add_argument("--trials", type=int, default=20, help="trials to add (default 20)")
    parser.add_argument("--out", type=Path, help="folder of the search (default: runs/tune-RECIPE)")
    parser.add_argument(
        "--search",
        action="append",
        metavar="NAME=LOW:HIGH[:log] | NAME=A,B,C",
        help="a number to search over; may be given several times",
    )
    parser.add_argument("--epochs", help="how often each image is seen in a trial")
    parser.add_argument("--data", help="another data set: a name, a folder, a .npz or .npy file")
    add_data_home(parser)
    parser.add_argument(
        "--seed",
        type=int,
        help="of the proposals (default: as the folder's search has it, else 0)",
    )
    add_device(parser)
    add_skip_broken_of_recipe(parser)
    parser.set_defaults(do=_do, more=helping.of_recipe)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    seed, options.seed = options.seed, None
    changes = overrides(options, named)
    from naqsh.studies import tune

    best = tune.search(
        options.recipe,
        trials=options.trials,
        space=options.search,
        out=options.out,
        overrides=changes,
        seed=seed,
        device=options.device,
        data_home=options.data_home,
    )
    print(best)
    return 0
