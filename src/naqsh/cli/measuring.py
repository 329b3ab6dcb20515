"""The verbs that measure: evaluate, samplers, bound, measure."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from naqsh.cli import helping
from naqsh.cli.machine import add_machine, at_work
from naqsh.cli.parsing import (
    Several,
    add_reading,
    add_run,
    names,
    none_left,
    only,
    verb,
    whole_numbers,
)
from naqsh.core.errors import NaqshError

if TYPE_CHECKING:
    from naqsh.api import Run


def add_evaluate(verbs: Any) -> None:
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
        help="out of frechet kernel pr dc likelihood nearest all; by Inception's features frechet "
        "is FID and kernel KID",
    )
    parser.add_argument("--n", type=int, default=5000, help="images drawn (default 5000)")
    parser.add_argument(
        "--reference",
        default="test",
        help="real images: test or train of the run's data, or another data set, folder or file "
        "(default test)",
    )
    add_reading(parser, "--reference")
    _add_own_data(parser)
    _add_measuring(parser)
    parser.set_defaults(do=_evaluate, more=helping.of_sampling)


def _add_own_data(parser: argparse.ArgumentParser) -> None:
    """Where the images of the run are."""
    parser.add_argument("--data", help="where the run's data set is now, if it has moved")


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    """The options that evaluate and measure share."""
    parser.add_argument("--features", help="one of `naqsh list features`")
    add_machine(parser, "of samples and choices")


def _evaluate(options: argparse.Namespace, named: dict[str, str]) -> int:
    from naqsh import api as run
    from naqsh.runs import sampling, translating
    from naqsh.studies import evaluation
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


def add_samplers(verbs: Any) -> None:
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
    _add_own_data(parser)
    _add_measuring(parser)
    parser.set_defaults(do=_samplers, more=helping.of_sampling)


def _samplers(options: argparse.Namespace, named: dict[str, str]) -> int:
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


def add_bound(verbs: Any) -> None:
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
    _add_own_data(parser)
    add_machine(parser, "of choice and noise")
    parser.set_defaults(do=_bound)


def _bound(options: argparse.Namespace, named: dict[str, str]) -> int:
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


def add_measure(verbs: Any) -> None:
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
    _add_measuring(parser)
    parser.set_defaults(do=_measure)


def _measure(options: argparse.Namespace, named: dict[str, str]) -> int:
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
