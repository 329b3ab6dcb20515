"""The verbs that make something: train, sample, export, tune."""

import argparse
import sys
from pathlib import Path
from typing import Any

from naqsh.cli import helping
from naqsh.cli.machine import counting
from naqsh.cli.parsing import (
    add_overwrite,
    add_run,
    add_skip_broken_of_recipe,
    none_left,
    only,
    verb,
)
from naqsh.core.errors import NaqshError
from naqsh.core.printable import shown


def add_train(verbs: Any) -> None:
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
    parser.add_argument("--data-home", type=Path, help="where data sets are looked for first")
    parser.add_argument("--seed", help="the seed of all randomness")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--precision", help="auto, float32 or bfloat16")
    parser.add_argument("--tracking", help="copy the curves to tensorboard or wandb as well")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_skip_broken_of_recipe(parser)
    parser.add_argument("--init-from", metavar="RUN", help="begin with this run's weights")
    parser.set_defaults(do=_train, more=helping.of_recipe)


SHORT = {
    "epochs": "training.epochs",
    "steps": "training.steps",
    "seed": "training.seed",
    "precision": "training.precision",
    "data": "data.name",
    "init_from": "training.init_from",
    "skip_broken": "data.skip_broken",
}
"""Options of `train` that stand for a number of the recipe."""


def _overrides(options: argparse.Namespace, named: dict[str, str]) -> dict[str, Any]:
    from naqsh.io.codec import Text

    if undotted := {name: value for name, value in named.items() if "." not in name}:
        from naqsh.io.files import flat
        from naqsh.training.asked import resolve

        only(undotted, flat(resolve(options.recipe).to_dict()), options)
    changes: dict[str, Any] = {name: Text(value) for name, value in named.items()}
    for option, name in SHORT.items():
        if getattr(options, option, None) is not None:
            changes[name] = Text(getattr(options, option))
    if "training.epochs" in changes:
        changes.setdefault("training.steps", None)
    return changes


def _train(options: argparse.Namespace, named: dict[str, str]) -> int:
    changes = _overrides(options, named)
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


def add_sample(verbs: Any) -> None:
    """The options of `sample`."""
    parser = verb(
        verbs,
        "sample",
        "Draw images from a trained run, as one grid or as a folder of PNGs.",
        "  naqsh sample runs/gan-digits --n 64 --seed 3 --out grid.png\n"
        "  naqsh sample runs/gan-digits --n 10000 --folder fakes/\n"
        "  naqsh sample runs/ddpm-mnist --sampler ddim --steps 50\n"
        "  naqsh sample runs/edm-cifar10 --sampler heun --steps 18 --churn 40\n"
        "what a run's method takes besides: `naqsh sample RUN --help`",
    )
    add_run(parser)
    parser.add_argument("--n", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="which images (default 0)")
    parser.add_argument("--columns", type=int, help="images in a row of the grid")
    parser.add_argument("--batch", type=int, default=100, help="images at a time (default 100)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--out", type=Path, help="the grid's file (default: RUN/samples.png)")
    target.add_argument(
        "--folder", type=Path, help="a new folder, to write each image to as a PNG of its own"
    )
    add_overwrite(parser, "the images in the folder, or a file that Naqsh did not write")
    parser.set_defaults(do=_sample, more=helping.of_sampling)


def _sample(options: argparse.Namespace, named: dict[str, str]) -> int:
    from naqsh import api as run
    from naqsh.io import outputs
    from naqsh.runs import sampling

    trained = run.open(options.run, options.weights)
    only(named, sampling.sample_names(trained.method), options)
    if options.folder and (old := outputs.require_folder(options.folder, options.overwrite)):
        print(f"{old:,} images in {shown(options.folder)} are replaced", file=sys.stderr)
    with counting() as progress:
        path = trained.save_samples(
            options.n,
            seed=options.seed,
            batch=options.batch,
            device=options.device,
            columns=options.columns,
            out=options.out,
            folder=options.folder,
            overwrite=options.overwrite,
            progress=progress,
            options=named,
        )
    print(path)
    return 0


def add_export(verbs: Any) -> None:
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
    parser.set_defaults(do=_export)


def _export(options: argparse.Namespace, named: dict[str, str]) -> int:
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


def add_tune(verbs: Any) -> None:
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
    parser.add_argument("--data-home", type=Path, help="where data sets are looked for first")
    parser.add_argument(
        "--seed",
        type=int,
        help="of the proposals (default: as the folder's search has it, else 0)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    add_skip_broken_of_recipe(parser)
    parser.set_defaults(do=_tune, more=helping.of_recipe)


def _tune(options: argparse.Namespace, named: dict[str, str]) -> int:
    seed, options.seed = options.seed, None
    changes = _overrides(options, named)
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
