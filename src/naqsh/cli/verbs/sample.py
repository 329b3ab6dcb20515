"""Drawing images from a run."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naqsh.cli import helping
from naqsh.cli.machine import add_device, counting
from naqsh.cli.parsing import add_overwrite, add_run, only, verb
from naqsh.core.errors import NaqshError
from naqsh.core.printable import shown

if TYPE_CHECKING:
    from naqsh.api import Run


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
        "  naqsh sample runs/ncsnv2-mnist --inner 10\n"
        '  naqsh sample runs/stackgan-shapes-2 --caption "red circle above a star" --n 4\n'
        '  naqsh sample runs/ddpm-shapes --caption "a red star" --guidance 2\n'
        "  naqsh sample runs/gan-ring --n 2500 --out points.csv\n"
        "points in the plane are drawn as a scatter plot, or written as .csv or .npy\n"
        "what a run's method takes besides: `naqsh sample RUN --help`",
    )
    add_run(parser)
    parser.add_argument("--n", type=int, help="how many (default 100, or 8 of each caption)")
    parser.add_argument("--seed", type=int, default=0, help="which images (default 0)")
    parser.add_argument(
        "--caption",
        action="append",
        metavar="SENTENCE",
        help="what images show, of a method that follows captions; a row for each that is given",
    )
    parser.add_argument(
        "--captions", type=Path, metavar="FILE", help="a text file with a caption a line"
    )
    parser.add_argument("--columns", type=int, help="images in a row of the grid")
    parser.add_argument("--batch", type=int, default=100, help="images at a time (default 100)")
    add_device(parser)
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--out", type=Path, help="the grid's file (default: RUN/samples.png, or captions.png)"
    )
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
    names = ("seed", "batch", "device", "out", "folder", "overwrite")
    how = {name: getattr(options, name) for name in names}
    if captions := _captions(options):
        return _follow(trained, captions, options, {**how, "options": named})
    with counting() as progress:
        path = trained.save_samples(
            100 if options.n is None else options.n,
            columns=options.columns,
            progress=progress,
            options=named,
            **how,
        )
    print(path)
    return 0


def _captions(options: argparse.Namespace) -> list[str]:
    """The captions that were typed, then those of the file."""
    from naqsh.runs import captioned

    found = list(options.caption or ())
    if options.captions:
        found += captioned.from_file(options.captions)
    return found


def _follow(
    trained: "Run", captions: list[str], options: argparse.Namespace, how: dict[str, Any]
) -> int:
    """Rows of images, each of a caption; `how` is what any images are saved with."""
    if options.columns is not None:
        raise NaqshError("a row has the images of one caption; give --n instead of --columns")
    with counting() as progress:
        saved = trained.save_captions(
            captions,
            8 if options.n is None else options.n,
            progress=progress,
            **how,
        )
    for note in saved.notes:
        print(f"note: {shown(note)}", file=sys.stderr)
    print(shown(saved.path))
    return 0
