"""Measuring a run."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from naqsh.cli import helping
from naqsh.cli.machine import add_measuring, add_own_data, at_work
from naqsh.cli.parsing import Several, add_reading, add_run, names, only, verb
from naqsh.core.errors import NaqshError

if TYPE_CHECKING:
    from naqsh.api import Run


def add(verbs: Any) -> None:
    """The options of `evaluate`."""
    parser = verb(
        verbs,
        "evaluate",
        "Measure a run's samples against real images, and the speed of sampling.",
        "  naqsh evaluate runs/gan-digits\n"
        "  naqsh evaluate runs/gan-mnist --metrics frechet kernel --n 10000\n"
        "  naqsh evaluate runs/ddpm-mnist --sampler ancestral --steps 1000\n"
        "a run that translates is measured both ways on the test images of both domains: kernel "
        "and Fréchet distance beside what copying and real images come to, the way back, and noise "
        "before it; RUN/translation.json is written",
    )
    add_run(parser, "; RUN/evaluation.json is written")
    parser.add_argument(
        "--metrics",
        nargs="+",
        type=names,
        action=Several,
        default=["all"],
        help="out of frechet kernel pr dc likelihood nearest captions all, modes where they are "
        "known and energy of points; by Inception's features frechet is FID and kernel KID",
    )
    parser.add_argument(
        "--n", type=int, help="images drawn (default 5000; 2500 points, 26000 of stacked-mnist)"
    )
    parser.add_argument(
        "--reference",
        default="test",
        help="real images: test or train of the run's data, or another data set, folder or file "
        "(default test)",
    )
    add_reading(parser, "--reference")
    add_own_data(parser)
    add_measuring(parser)
    parser.set_defaults(do=_do, more=helping.of_sampling)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    from naqsh import api as run
    from naqsh.runs import sampling, translating
    from naqsh.studies import evaluation, following
    from naqsh.studies import measure as measuring

    trained = run.open(options.run, options.weights)
    only(named, sampling.sample_names(trained.method), options)
    if translating.alone(trained.method):
        return _translated(trained, options)
    with at_work(options) as machine:
        result = evaluation.evaluate(
            trained,
            options.metrics,
            machine,
            features=options.features,
            n=options.n,
            reference=options.reference,
            ranges=options.range,
            keys=options.key,
            skip_broken=options.skip_broken,
            data=options.data,
            sampling=named,
        )
    if options.json:
        print(json.dumps(result.to_dict(), indent=1))
        return 0
    if result.measures:
        print(measuring.table(result.measures, result.floor))
    if result.likelihood:
        print(f"  {'likelihood':<24} {result.likelihood}")
    print(result.speed)
    if result.nearness:
        print(result.nearness)
    if result.followed:
        print(following.told(result.followed))
    said = measuring.renamed(options.metrics, result.measures)
    if result.no_floor:
        said.append(f"no floor: {result.no_floor}")
    for note in (*said, *result.notes, *(result.nearness.notes if result.nearness else ())):
        print(f"note: {note}")
    return 0


def _translated(trained: "Run", options: argparse.Namespace) -> int:
    """Measure a method that translates, each direction."""
    from naqsh.studies import translation

    if options.reference != "test":
        raise NaqshError(
            "translations are measured against the test images of the other domain: leave "
            "--reference out"
        )
    with at_work(options) as machine:
        found = translation.study(
            trained,
            options.metrics,
            machine,
            features=options.features,
            n=options.n,
            data=options.data,
        )
    print(json.dumps(found.to_dict(), indent=1) if options.json else found)
    return 0
