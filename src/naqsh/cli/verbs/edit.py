"""Editing images with a run as it was trained."""

import argparse
import sys
from pathlib import Path
from typing import Any

from naqsh.cli import helping
from naqsh.cli.machine import add_device, counting
from naqsh.cli.parsing import add_overwrite, add_run, only, verb
from naqsh.core.printable import shown


def add(verbs: Any) -> None:
    """The options of `edit`."""
    parser = verb(
        verbs,
        "edit",
        "Edit images with a trained run: fill a mask, make strokes an image, blend two.",
        "  naqsh edit runs/ddpm-mnist seven.png --mask mask.png\n"
        "  naqsh edit runs/ddpm-mnist digits/ --mask right --n 4\n"
        "  naqsh edit runs/ddpm-mnist painted.png --strength 0.6\n"
        "  naqsh edit runs/cond painted.png --strength 0.6 --label 3 --guidance 2\n"
        "  naqsh edit runs/ddpm-mnist three.png --blend eight.png\n"
        "diffusion models and flow matching do all of it, without training; VAEs and flows blend; "
        "images of another size are cut to their centred square and resized",
    )
    add_run(parser, "; RUN/editing.json is written")
    parser.add_argument("images", metavar="IMAGE|FOLDER", nargs="+", help="what to edit")
    parser.add_argument(
        "--mask",
        help="an image, white where it is filled and black where it is kept; or left, right, top, "
        "bottom or centre",
    )
    parser.add_argument(
        "--strength",
        type=float,
        help="share of the way into noise, from 0 (the image) to 1 (a new one); with --mask that "
        "of what lies under it (default there 1)",
    )
    parser.add_argument("--blend", metavar="OTHER", help="another image, to go over into")
    parser.add_argument(
        "--n", type=int, help="images made of each (default 4; of a blend 9, its ends among them)"
    )
    parser.add_argument("--jump", type=int, help="steps gone back at a time by --mask (default 5)")
    parser.add_argument(
        "--resamples", type=int, help="how often each is taken by --mask (default 5)"
    )
    parser.add_argument(
        "--caption", help="what images become, of a run that follows captions (default: anything)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    parser.add_argument("--batch", type=int, default=100, help="images at a time (default 100)")
    add_device(parser)
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--out", type=Path, help="a PNG file for the grid (default: in RUN)")
    target.add_argument(
        "--folder", type=Path, help="a new folder, to write each edited image to as a PNG"
    )
    add_overwrite(parser, "the images in the folder, or a file that Naqsh did not write")
    parser.set_defaults(do=_do, more=helping.of_sampling)


EDITED = ("mask", "strength", "blend", "n", "jump", "resamples", "caption")
"""Options that say what is done."""

PLACED = ("out", "folder", "overwrite", "seed", "batch", "device")
"""Options that say where, and of which noise."""


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    from naqsh import api
    from naqsh.runs import sampling

    run = api.open(options.run, options.weights)
    only(named, sampling.sample_names(run.method), options)
    how = {name: getattr(options, name) for name in (*EDITED, *PLACED)}
    with counting() as progress:
        saved = run.save_edits(options.images, progress=progress, sampling=named, **how)
    for note in saved.found.notes:
        print(f"note: {shown(note)}", file=sys.stderr)
    print(shown(saved.path))
    return 0
