"""Training a recipe."""

import argparse
from pathlib import Path
from typing import Any

from naqsh.cli import helping
from naqsh.cli.machine import add_data_home, add_device
from naqsh.cli.overrides import overrides
from naqsh.cli.parsing import add_skip_broken_of_recipe, verb


def add(verbs: Any) -> None:
    """The options of `train`."""
    parser = verb(
        verbs,
        "train",
        "Train a recipe into a run folder; an unfinished one of the same recipe is resumed.",
        "  naqsh train gan-digits --epochs 100\n"
        "  naqsh train gan-mnist --data photos/ --data.size 32 --data.channels 3\n"
        "  naqsh train wgan-mnist --method.n_critic 3 --method.critic.lr 1e-4\n"
        "  naqsh train runs/mine/recipe.yaml --out runs/again\n"
        "  torchrun --nproc-per-node 2 -m naqsh train gan-mnist\n"
        "every value in a recipe is an option: `naqsh train gan-mnist --help` lists them",
    )
    parser.add_argument("recipe", help="a name from `naqsh list`, or a recipe.yaml")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/RECIPE)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", help="how often each image is seen")
    length.add_argument("--steps", help="optimiser steps instead of epochs")
    parser.add_argument("--data", help="another data set: a name, a folder, a .npz or .npy file")
    add_data_home(parser)
    parser.add_argument("--seed", help="the seed of all randomness")
    add_device(parser)
    parser.add_argument("--precision", help="auto, float32 or bfloat16")
    parser.add_argument("--tracking", help="copy the curves to tensorboard or wandb as well")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_skip_broken_of_recipe(parser)
    parser.add_argument("--init-from", metavar="RUN", help="begin with this run's weights")
    parser.set_defaults(do=_do, more=helping.of_recipe)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    changes = overrides(options, named)
    from naqsh.training import launch

    launch.train(
        options.recipe,
        out=options.out,
        overrides=changes,
        device=options.device,
        data_home=options.data_home,
        tracking=options.tracking,
        quiet=options.quiet,
    )
    return 0
