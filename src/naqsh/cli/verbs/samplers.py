"""One model under each of its samplers."""

import argparse
import json
from typing import Any

from naqsh.cli import helping
from naqsh.cli.machine import add_measuring, add_own_data, at_work
from naqsh.cli.parsing import Several, add_run, names, only, verb, whole_numbers


def add(verbs: Any) -> None:
    """The options of `samplers`."""
    parser = verb(
        verbs,
        "samplers",
        "Measure one model's samplers: distance to real images by network evaluations.",
        "  naqsh samplers runs/ddpm-mnist\n"
        "  naqsh samplers runs/ddpm-mnist --samplers ddim heun --steps 5 10 50 --n 5000\n"
        "  naqsh samplers runs/ddpm-mnist --precision auto\n"
        "what was measured before is kept; RUN/samplers.json grows; other options are the method's",
    )
    add_run(parser, "; RUN/samplers.json is written")
    parser.add_argument(
        "--samplers",
        nargs="+",
        type=names,
        action=Several,
        help="which (default: all that the method has)",
    )
    parser.add_argument(
        "--steps",
        nargs="+",
        type=whole_numbers,
        action=Several,
        default=[5, 10, 20, 50],
        help="of each sampler (default 5 10 20 50)",
    )
    parser.add_argument("--n", type=int, default=2000, help="images drawn each (default 2000)")
    parser.add_argument(
        "--reference", choices=["test", "train"], default="test", help="real images (default test)"
    )
    add_own_data(parser)
    add_measuring(parser)
    parser.set_defaults(do=_do, more=helping.of_sampling)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    from naqsh import api as run
    from naqsh.runs import sampling
    from naqsh.studies import samplers

    trained = run.open(options.run, options.weights)
    only(named, sampling.sample_names(trained.method), options)
    with at_work(options) as machine:
        study = samplers.study(
            trained,
            options.samplers,
            options.steps,
            machine,
            features=options.features,
            n=options.n,
            reference=options.reference,
            data=options.data,
            sampling=named,
        )
    print(json.dumps(study, indent=1) if options.json else samplers.table(study))
    return 0
