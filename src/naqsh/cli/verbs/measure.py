"""Measuring images that belong to no run."""

import argparse
import json
from typing import Any

from naqsh.cli.machine import add_measuring, at_work
from naqsh.cli.parsing import add_reading, none_left, verb


def add(verbs: Any) -> None:
    """The options of `measure`."""
    parser = verb(
        verbs,
        "measure",
        "Measure images against real ones: folders, .npz or .npy files, or data sets.",
        "  naqsh measure frechet mnist:test fakes/ --features mnist\n"
        "  naqsh measure fid real/ fakes/\n"
        "  naqsh measure all real.npz fakes.npz --features pixels --n 2000\n"
        "  naqsh measure fid photos/:test fakes.npy --range 0,255 -1,1\n"
        "NAME:test is the test split of a data set, folder or file; without it images for\n"
        "training are read",
    )
    parser.add_argument(
        "metric",
        help="frechet, kernel, pr, dc or all; by Inception's features frechet is FID, kernel KID",
    )
    parser.add_argument("real", help="the reference")
    parser.add_argument("generated", help="what is measured")
    parser.add_argument("--n", type=int, help="take so many of each, at random (default: all)")
    parser.add_argument("--size", type=int, help="resize both to SIZE x SIZE")
    parser.add_argument("--channels", type=int, help="bring both to 1 (grey) or 3 (colour)")
    add_reading(parser, "REAL", "GENERATED")
    add_measuring(parser)
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh.studies import measure as measuring

    with at_work(options) as machine:
        results = measuring.measure(
            [options.metric],
            options.real,
            options.generated,
            machine,
            features=options.features,
            n=options.n,
            size=options.size,
            channels=options.channels,
            ranges=options.range,
            keys=options.key,
            skip_broken=options.skip_broken,
        )
    if options.json:
        print(json.dumps([measure.to_dict() for measure in results], indent=1))
        return 0
    print(measuring.table(results))
    for note in measuring.renamed([options.metric], results):
        print(f"note: {note}")
    return 0
