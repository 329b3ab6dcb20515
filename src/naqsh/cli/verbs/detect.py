"""Finding anomalies."""

import argparse
import json
from pathlib import Path
from typing import Any

from naqsh.cli.machine import add_machine, at_work
from naqsh.cli.parsing import add_reading, add_run, none_left, verb
from naqsh.core.errors import NaqshError

FOUND = 3
"""Exit code where anything was flagged, if it was asked for."""


def add(verbs: Any) -> None:
    """The options of `detect`."""
    parser = verb(
        verbs,
        "detect",
        "Find images that are not as those a run was trained on: scores, AUROC, heat maps.",
        "  naqsh detect runs/vae-capsule capsule\n"
        "  naqsh detect runs/mine parts/ --false-alarms 0.01 --fail-on-anomaly\n"
        "  naqsh detect runs/mine parts/ --normal good/\n"
        "  naqsh detect runs/mine bottle/ --features classifier:runs/classifier-cifar10\n"
        "  naqsh detect runs/maf-fashion mnist --n 1000\n"
        "  naqsh detect runs/mine good/ --save detector; naqsh detect detector new/\n"
        "folders: train/good, test/<kind> and ground_truth/<kind> as MVTec AD has them;\n"
        "Data/Images and Data/Masks as VisA has them; a sub-folder for each kind, normal ones in\n"
        "good/ (or ok, normal, …); images with masks beside them, empty for good ones; or images\n"
        "alone, then flagged ones are listed. Written into RUN/detections/NAME: detection.json,\n"
        "detection.csv, heat maps.\n"
        "exit codes: 0 done; 2 it cannot be done; 3 something was flagged (--fail-on-anomaly)",
    )
    add_run(parser, ", trained on normal images; or a saved detector")
    parser.add_argument("pictures", help="what to examine: a folder, an image, a data set's name")
    parser.add_argument("--normal", help="normal images instead of those the run was trained on")
    parser.add_argument(
        "--features",
        help="fit densities of feature maps too: digits, mnist, inception, classifier:RUN, "
        "encoder:RUN or module:function",
    )
    parser.add_argument(
        "--score",
        help="which score decides (default: the first that there is); auto: the one that notices "
        "patches pasted into held-out normal images better, or both",
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        default=0.05,
        help="part of normal images that may be flagged (default 0.05)",
    )
    parser.add_argument("--draws", type=int, default=8, help="of noise, averaged over (default 8)")
    parser.add_argument("--n", type=int, help="most images of a named data set (default: all)")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FOLDER",
        help="keep the fitted detector, which needs neither the run nor normal images again",
    )
    parser.add_argument("--good", help="sub-folder of good images (default good, ok, normal, …)")
    add_reading(parser, "PICTURES", "--normal")
    add_machine(parser, "of noise and choices", batch=50)
    parser.add_argument(
        "--fail-on-anomaly", action="store_true", help="leave with 3 where anything is flagged"
    )
    parser.set_defaults(do=_do)


def _do(options: argparse.Namespace, named: dict[str, str]) -> int:
    none_left(named, options)
    from naqsh import api as run
    from naqsh.studies import detection

    if detection.is_detector(options.run):
        return _by_detector(options)
    if options.save:
        detection.require_place(options.save)  # told before the work
    trained = run.open(options.run, options.weights)
    with at_work(options) as machine:
        found = detection.detect(
            trained,
            options.pictures,
            machine,
            given_normal=options.normal,
            features=options.features,
            score=options.score,
            false_alarms=options.false_alarms,
            draws=options.draws,
            n=options.n,
            good=options.good,
            skip_broken=options.skip_broken,
            ranges=options.range,
            keys=options.key,
        )
    if options.save:
        assert found.detector is not None
        found.detector.save(options.save)
    if options.json:
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        if found.suspects.anomalous is None:
            print("\n".join(detection.lines(found)) or "nothing is flagged")
        print(detection.table(found))
    flagged = bool(found.flagged.any())
    return FOUND if flagged and options.fail_on_anomaly else 0


def _by_detector(options: argparse.Namespace) -> int:
    """Score and flag new images with a saved detector: nothing is fitted, nothing is written."""
    from naqsh.studies import detection
    from naqsh.studies.measure import for_each

    fixed = {
        "good": None,
        "normal": None,
        "score": None,
        "save": None,
        "n": None,
        "false_alarms": 0.05,
    }
    for name, default in fixed.items():
        if getattr(options, name) != default:
            option = name.replace("_", "-")
            raise NaqshError(f"a saved detector has its own {option}: leave --{option} out")
    (limits,) = for_each("range", options.range, [options.pictures])
    (key,) = for_each("key", options.key, [options.pictures])
    with at_work(options) as machine:
        detector = detection.load(options.run, machine.device, options.features)
        examined = detection.images_of(
            options.pictures,
            detector.shape,
            options.skip_broken,
            limits or detector.range,
            key,
        )
        scores = detector.score(examined.images)
    flagged = detector.verdict(scores)
    if options.json:
        rows = [
            {"path": path, "flagged": bool(flag), **{k: float(v[i]) for k, v in scores.items()}}
            for i, (path, flag) in enumerate(zip(examined.paths, flagged, strict=True))
        ]
        plain = {"thresholds": dict(detector.thresholds), "images": rows}
        print(json.dumps(plain, indent=1, allow_nan=False))
    else:
        for i in flagged.nonzero()[0]:
            print("\t".join([examined.paths[i], *(f"{v[i]:.6g}" for v in scores.values())]))
        above = ", ".join(f"{name} above {t:.6g}" for name, t in detector.thresholds.items())
        print(f"{int(flagged.sum())} of {len(flagged)} flagged: {above}")
    return FOUND if flagged.any() and options.fail_on_anomaly else 0
