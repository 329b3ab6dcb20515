"""A diffusion model's bound by time."""

import argparse
import json
from typing import Any

from naqsh.cli.machine import add_machine, add_own_data, at_work
from naqsh.cli.parsing import add_run, none_left, verb


def add(verbs: Any) -> None:
    """The options of `bound`."""
    parser = verb(
        verbs,
        "bound",
        "Take a diffusion model's variational bound apart by time, in bits per dimension.",
        "  naqsh bound runs/ddpm-mnist\n"
        "  naqsh bound runs/ddpm-mnist --n 64 --likelihood --device cuda\n"
        "each batch takes one evaluation of the network a time: 1000 by DDPM, 80 s on\n"
        "one core for 16 images of ddpm-mnist; --likelihood adds 200 evaluations, each with its\n"
        "backward pass. Memory grows with --batch alone",
    )
    add_run(parser, "; RUN/bound.json is written")
    parser.add_argument("--n", type=int, default=16, help="held-out images (default 16)")
    parser.add_argument(
        "--reference", choices=["test", "train"], default="test", help="images (default test)"
    )
    parser.add_argument(
        "--likelihood", action="store_true", help="also the probability-flow equation's estimate"
    )
    add_own_data(parser)
    add_machine(parser, "of choice and noise")
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh import api as run
    from naqsh.studies import bound as bounds

    trained = run.open(options.run, options.weights)
    with at_work(options) as machine:
        study = bounds.study(
            trained,
            options.n,
            machine,
            reference=options.reference,
            likelihood=options.likelihood,
            data=options.data,
        )
    print(json.dumps(study, indent=1) if options.json else bounds.table(study))
    return 0
