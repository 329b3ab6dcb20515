"""The verb that finds anomalies: detect."""

import argparse
import json
from typing import Any

from naqsh.cli.machine import add_machine, at_work
from naqsh.cli.parsing import add_run, none_left, verb

FOUND = 3
"""Exit code where anything was flagged, if it was asked for."""


def add_detect(verbs: Any) -> None:
    """The options of `detect`."""
    parser = verb(
        verbs,
        "detect",
        "Find pictures that are not as those a run was trained on: scores, AUROC, heat maps.",
        "  naqsh detect runs/vae-capsule capsule\n"
        "  naqsh detect runs/mine suspects/ --false-alarms 0.01 --fail-on-anomaly\n"
        "  naqsh detect runs/mine suspects/ --normal good/\n"
        "  naqsh detect runs/mine bottle/ --features classifier:runs/classifier-cifar10\n"
        "  naqsh detect runs/maf-fashion mnist --n 1000\n"
        "folders: train/good, test/<kind> and ground_truth/<kind> as MVTec AD has them; or a\n"
        "sub-folder for each kind, normal ones in good/; or pictures alone, then flagged ones are\n"
        "listed. Written into the run folder: detection.json, detection.csv, detection/*.png.\n"
        "exit codes: 0 done; 2 it cannot be done; 3 something was flagged (--fail-on-anomaly)",
    )
    add_run(parser, "a run folder, trained on normal pictures")
    parser.add_argument("pictures", help="what to examine: a folder, a picture, a data set's name")
    parser.add_argument("--normal", help="normal pictures instead of those the run was trained on")
    parser.add_argument(
        "--features",
        help="fit densities of feature maps too: digits, mnist, inception, classifier:RUN, "
        "encoder:RUN or module:function",
    )
    parser.add_argument(
        "--score",
        help="which score decides (default: the first that there is); auto: the one that notices "
        "patches pasted into held-out normal pictures better, or both",
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        default=0.05,
        help="part of normal pictures that may be flagged (default 0.05)",
    )
    parser.add_argument("--draws", type=int, default=8, help="of noise, averaged over (default 8)")
    parser.add_argument("--n", type=int, help="most pictures of a named data set (default: all)")
    add_machine(parser, "of noise and choices", batch=50)
    parser.add_argument(
        "--fail-on-anomaly", action="store_true", help="leave with 3 where anything is flagged"
    )
    parser.set_defaults(do=_detect)


def _detect(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh import detection, run

    trained = run.open(options.run, options.weights)
    with at_work(options) as machine:
        found = detection.detect(
            trained,
            options.pictures,
            given_normal=options.normal,
            features=options.features,
            score=options.score,
            false_alarms=options.false_alarms,
            draws=options.draws,
            n=options.n,
            **machine,
        )
    if options.json:
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        if found.suspects.anomalous is None:
            print("\n".join(detection.lines(found)) or "nothing is flagged")
        print(detection.table(found))
    flagged = bool(found.flagged.any())
    return FOUND if flagged and options.fail_on_anomaly else 0
