"""Turning images of one domain into another."""

import argparse
from pathlib import Path
from typing import Any

from naqsh.cli.machine import add_device, counting
from naqsh.cli.parsing import add_overwrite, add_run, add_skip_broken, none_left, verb
from naqsh.core.printable import shown


def add(verbs: Any) -> None:
    """The options of `translate`."""
    parser = verb(
        verbs,
        "translate",
        "Translate an image, or a folder of images, from one domain into the other.",
        "  naqsh translate runs/horse2zebra horse.jpg --to B --out zebra.png\n"
        "  naqsh translate runs/horse2zebra horses/ --to B --folder zebras/\n"
        "  naqsh translate runs/horse2zebra zebras/ --to A --folder a/ --back\n"
        "images may have any size that the network takes and keep it; grey or colour is brought to "
        "what the run was trained on",
    )
    add_run(parser, ", of a method that translates")
    parser.add_argument("images", metavar="IMAGE|FOLDER", help="what to translate")
    parser.add_argument(
        "--to", metavar="A|B", help="the domain, or its name (default: the usual one, mostly B)"
    )
    parser.add_argument(
        "--back", action="store_true", help="also translate back, into files ending in -back.png"
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--out", type=Path, help="a PNG file (default: RUN/translated.png)")
    target.add_argument(
        "--folder", type=Path, help="a new folder, to write each image to under its own name"
    )
    add_overwrite(parser, "the images in the folder, or a file that Naqsh did not write")
    add_skip_broken(parser)
    parser.add_argument("--batch", type=int, default=16, help="images at a time (default 16)")
    add_device(parser)
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh import api

    run = api.open(options.run, options.weights)
    with counting() as progress:
        saved = run.save_translations(
            options.images,
            options.to,
            out=options.out,
            folder=options.folder,
            back=options.back,
            overwrite=options.overwrite,
            skip_broken=options.skip_broken,
            batch=options.batch,
            device=options.device,
            progress=progress,
        )
    print(shown(saved.path))
    for reason in saved.left_out:
        print(f"note: left out: {shown(reason)}")
    return 0
