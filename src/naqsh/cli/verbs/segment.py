"""Segmentation from a few labelled images."""

import argparse
import json
from pathlib import Path
from typing import Any

from naqsh.cli.machine import add_machine, at_work
from naqsh.cli.parsing import (
    Several,
    add_overwrite,
    add_run,
    add_skip_broken,
    none_left,
    numbers,
    verb,
)
from naqsh.core.errors import NaqshError
from naqsh.core.printable import shown

LEVELS = (0.18, 0.52, 0.96)
"""As :data:`naqsh.diffusion.features.LEVELS`, which would import PyTorch."""


def add(verbs: Any) -> None:
    """The options of `segment`."""
    parser = verb(
        verbs,
        "segment",
        "Segment images by a diffusion model's features, from a few labelled images.",
        "  naqsh segment runs/ddpm-textured-shapes --labelled 20\n"
        "  naqsh segment runs/mine --data labelled/ --labelled 10 --draws 3\n"
        "  naqsh segment runs/mine photo.png --out masks/\n"
        "  naqsh segment runs/mine photos/ --out masks/\n"
        "labelled images are those of textured-shapes, a folder with images/ and masks/ (PNG masks "
        "of class numbers or colours, names as the images'), or faults with masks as MVTec AD has "
        "them. Without images the features are measured beside pixels, coordinates, an untrained "
        "U-Net and a U-Net from scratch; RUN/segmentation.json grows, and the classifiers are "
        "kept. With images these are segmented by what was kept last",
    )
    add_run(parser, ", of a diffusion model")
    parser.add_argument(
        "images", nargs="?", metavar="IMAGE|FOLDER", help="segment these, into --out"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="a new folder for their masks")
    parser.add_argument(
        "--labelled", type=int, default=20, help="images to train on, drawn at random (default 20)"
    )
    parser.add_argument("--draws", type=int, default=5, help="of these images anew (default 5)")
    parser.add_argument("--data", help="labelled images (default: the run's data set)")
    parser.add_argument(
        "--levels",
        nargs="+",
        type=numbers,
        action=Several,
        default=list(LEVELS),
        help="noise over signal at which the network looks (default 0.18 0.52 0.96)",
    )
    parser.add_argument("--members", type=int, default=10, help="of the ensemble (default 10)")
    parser.add_argument("--n", type=int, default=200, help="most test images (default 200)")
    add_overwrite(parser, "the images in the folder")
    add_skip_broken(parser)
    add_machine(parser, "of draws, noise and weights", batch=32)
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh import api
    from naqsh.studies import segmentation

    run = api.open(options.run, options.weights)
    if bool(options.images) != bool(options.out):
        raise NaqshError(
            "give both images and --out, to segment them; or neither, to measure the features"
        )
    with at_work(options) as machine:
        if options.images:
            saved = segmentation.apply(
                run,
                options.images,
                options.out,
                machine,
                overwrite=options.overwrite,
                skip_broken=options.skip_broken,
            )
            print(shown(saved.path))
            for reason in saved.left_out:
                print(f"note: left out: {shown(reason)}")
            return 0
        found = segmentation.study(
            run,
            machine,
            labelled=options.labelled,
            draws=options.draws,
            data=options.data,
            levels=options.levels,
            members=options.members,
            n=options.n,
        )
    print(json.dumps(found.to_dict(), indent=1) if options.json else found)
    return 0
