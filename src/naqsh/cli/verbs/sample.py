"""Drawing images from a run."""

import argparse
import sys
from pathlib import Path
from typing import Any

from naqsh.cli import helping
from naqsh.cli.machine import add_device, counting
from naqsh.cli.parsing import add_overwrite, add_run, only, verb
from naqsh.core.printable import shown


def add(verbs: Any) -> None:
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
    add_device(parser)
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--out", type=Path, help="the grid's file (default: RUN/samples.png)")
    target.add_argument(
        "--folder", type=Path, help="a new folder, to write each image to as a PNG of its own"
    )
    add_overwrite(parser, "the images in the folder, or a file that Naqsh did not write")
    parser.set_defaults(do=_do, more=helping.of_sampling)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
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
