"""One model under each of its samplers."""

import argparse
import json
from typing import Any

from naqsh.cli import helping
from naqsh.cli.machine import add_measuring, add_own_data, at_work
from naqsh.cli.parsing import Several, add_run, names, numbers, only, verb, whole_numbers
from naqsh.core.errors import NaqshError

SHARED = ("features", "n", "reference", "data")
"""Options that both studies take."""


def add(verbs: Any) -> None:
    """The options of `samplers`."""
    parser = verb(
        verbs,
        "samplers",
        "Measure one model's samplers: distance to real images by network evaluations.",
        "  naqsh samplers runs/ddpm-mnist\n"
        "  naqsh samplers runs/ddpm-mnist --samplers ddim heun --steps 5 10 50 --n 5000\n"
        "  naqsh samplers runs/ncsn-mnist --samplers langevin --evaluations 3 30 300\n"
        "  naqsh samplers runs/ddpm-mnist --precision auto\n"
        "  naqsh samplers runs/conditional-ddpm-mnist --guidance 1,1.5,2,4\n"
        "several scales of guidance are measured in the run's own sampler, or the one that is "
        "named; RUN/guidance.json grows\n"
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
        help="of each sampler (default 5 10 20 50)",
    )
    parser.add_argument(
        "--evaluations",
        nargs="+",
        type=whole_numbers,
        action=Several,
        help="instead of steps: how often the network may be run for an image; of Langevin "
        "dynamics levels times steps at each. The same samplers are put under an exact score too",
    )
    parser.add_argument(
        "--guidance",
        nargs="+",
        type=numbers,
        action=Several,
        help="how far labels are exaggerated; several scales are held against each other by "
        "distance, precision and recall",
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
    from naqsh.studies import guidance, samplers

    trained = run.open(options.run, options.weights)
    taken = [name for name in sampling.sample_names(trained.method) if name != "guidance"]
    only(named, taken, options)
    scales, how = options.guidance or [], {name: getattr(options, name) for name in SHARED}
    if options.evaluations and (options.steps or len(scales) > 1):
        raise NaqshError("--evaluations stands instead of --steps, and with one scale of guidance")
    with at_work(options) as machine:
        if len(scales) > 1:
            given = {**named, **_one_sampler(options)}
            study = guidance.study(trained, scales, machine, sampling=given, **how)
        else:
            given = {**named, **({"guidance": scales[0]} if scales else {})}
            steps = options.steps or (5, 10, 20, 50)
            how["evaluations"] = options.evaluations or ()
            study = samplers.study(trained, options.samplers, steps, machine, sampling=given, **how)
    table = guidance.table if len(scales) > 1 else samplers.table
    print(json.dumps(study, indent=1) if options.json else table(study))
    return 0


def _one_sampler(options: argparse.Namespace) -> dict[str, Any]:
    """The sampler and its steps under which scales of guidance are held against each other."""
    found: dict[str, Any] = {}
    for name, typed in (("sampler", options.samplers), ("steps", options.steps)):
        if typed and len(typed) > 1:
            raise NaqshError(
                f"scales of guidance are compared in one sampler and one number of steps, got "
                f"{len(typed)} {name.removesuffix('s')}s; give one, or one scale"
            )
        found |= {name: typed[0]} if typed else {}
    return found
