"""From a run and images to scores, figures and files."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.printable import whole
from naqsh.data.fingerprint import fingerprint_of
from naqsh.io.files import make_part, whole_folder, write_json, write_text
from naqsh.metrics import detection as measure
from naqsh.runs.records import Choice
from naqsh.runs.trained import Trained
from naqsh.studies.detection import caution, choice, heat, scoring
from naqsh.studies.detection.detector import Detector
from naqsh.studies.detection.examined import Examined
from naqsh.studies.detection.figures import Figures, is_rounding, less, measured
from naqsh.studies.detection.images import Normal, normal, repeated, under_test
from naqsh.studies.detection.result import Detection
from naqsh.studies.detection.scores import Likelihood, Maps, Scorer, Scores
from naqsh.studies.measure import for_each

DRAWS = 8
MOST_PIXELS = 1 << 28
"""Pixels of heat maps that are kept at once, 1 GiB a scorer."""


def detect(
    run: Trained,
    source: str,
    machine: Machine = Machine(batch=50),
    *,
    given_normal: str | None = None,
    features: str | None = None,
    score: str | None = None,
    false_alarms: float = 0.05,
    draws: int = DRAWS,
    n: int | None = None,
    good: str | None = None,
    skip_broken: bool = False,
    ranges: Sequence[tuple[float, float] | None] = (),
    keys: Sequence[str | None] = (),
) -> Detection:
    """Score images by a run, and write what was found into a folder of its own in the run's.

    There ``detection.json`` holds all figures, ``detection.csv`` the scores of every image, and
    PNGs show the heat maps of those that are flagged and of the extremes. It is replaced by a
    detection of the same images under the same terms, and by nothing else.

    Args:
        run: trained on normal images.
        source: what to examine: see :func:`naqsh.studies.detection.images.under_test`.
        machine: where methods and features compute; its seed is of noise and choices.
        given_normal: normal images instead of the run's training images.
        features: fit densities of these feature maps as well; see
            :func:`naqsh.studies.detection.maps.feature_maps`.
        score: which score decides; by default the flow on features where features are given, else
            the likelihood, else the reconstruction. ``auto`` takes that one or principal
            components, whichever held-out normal images find better, and both where these cannot
            tell.
        false_alarms: rate for which thresholds are chosen, from normal images alone.
        draws: of noise, over which a likelihood that draws any is averaged.
        n: most images of each named data set.
        good: the sub-folder of good images where it is not called ``good``.
        skip_broken: leave out files that cannot be read, with a note of their number.
        ranges: the values that are black and white in files of arrays (where there are none, in
            folders): one pair, or one of `source` and one of `given_normal`; by default as the
            run's recipe says.
        keys: the arrays of `.npz` files that hold the images, likewise.

    Raises:
        NaqshError: the method has neither likelihood nor reconstruction, images that cannot be
            had, or an argument that does not fit.
    """
    seed, home = machine.seed, machine.data_home
    if min(draws, machine.batch, 1 if n is None else n) < 1:
        given = f"{draws}, {machine.batch} and {n}"
        raise NaqshError(f"draws, batch and n must be at least 1, got {given}")
    if not 0 < false_alarms < 1:
        raise NaqshError(f"a rate of false alarms lies between 0 and 1, not {false_alarms}")
    if run.layout.extent:
        raise NaqshError(f"detect is for images, and {run.recipe.name} was trained on points")
    source, given_normal = whole(source), given_normal and whole(given_normal)
    scorers = scoring.scorers(run, features, draws, machine)
    decides = scoring.deciding(score, [scorer.name for scorer in scorers])
    sources = [source, given_normal] if given_normal else [source]
    limits, named = for_each("range", ranges, sources), for_each("key", keys, sources)
    examined = under_test(source, run, n, home, good, skip_broken, limits[0], named[0])
    reference, notes = normal(
        run, given_normal, seed, home, good, skip_broken, limits[-1], named[-1]
    )
    notes += _remarks(examined, reference, false_alarms)
    with_maps = "no_maps" not in notes
    scored = {
        scorer.name: scoring.scored(scorer, examined, reference, machine, with_maps)
        for scorer in scorers
    }
    picked = None
    if score == scoring.AUTO:
        picked = _choice(scorers, scored, reference, decides, seed)
        decides = picked.better or decides
    beside = choice.BASELINE if picked and picked.better is None else None
    rates = dict.fromkeys((decides, beside), false_alarms / 2) if beside else {}
    found = _figures(scorers, scored, examined, rates, false_alarms)
    if "reconstruction" in scored and is_rounding(scored["reconstruction"][0]):
        notes.append("round_trip")
    detection = Detection(
        step=run.step,
        weights=run.weights,
        seed=seed,
        suspects=examined,
        normal={
            "name": reference.name,
            "fitted": len(reference.fitted),
            "held_out": len(reference.held_out),
            "origin": reference.origin,
        },
        false_alarms=false_alarms,
        draws=draws,
        figures={
            name: found[name] for name in sorted(found, key=partial(scoring.rank, decides, beside))
        },
        likelihood=_caution(scorers, scored, examined, reference),
        notes=tuple(notes),
        choice=picked,
        terms={
            "source": source,
            "images": fingerprint_of(examined.images, None),
            "truth": examined.truth(),
            "normal": fingerprint_of(reference.fitted, None),
            "held_out": fingerprint_of(reference.held_out, None),
            "features": features,
            "score": score,
        },
    )
    return _kept(run, replace(detection, detector=_detector(run, detection, scorers)))


def _detector(run: Trained, found: Detection, scorers: Sequence[Scorer]) -> Detector:
    """The scores that decide with their thresholds, to be kept by themselves."""
    deciders = [figures for figures in (found.deciding, found.beside) if figures]
    about = {"false_alarms": found.false_alarms, "normal": found.normal, "step": found.step}
    return Detector(
        run.method.shape,
        {figures.name: scoring.fitted(figures.name, scorers) for figures in deciders},
        {figures.name: figures.threshold for figures in deciders},
        about | {"recipe": run.recipe.name, "range": run.recipe.data.range},
        run.weights_file,
    )


def _choice(
    scorers: Sequence[Scorer],
    scored: dict[str, tuple[Scores, Scores]],
    reference: Normal,
    decides: str,
    seed: int,
) -> Choice:
    """What held-out normal images say of the method's score and principal components."""
    names = decides, choice.BASELINE
    if reason := choice.unsound(reference.held_out, reference.origin):
        return Choice(names, reason)
    held = reference.held_out[: choice.MOST_IMAGES]
    changed = choice.pasted(held, seed)
    by_name = {scorer.name: scorer for scorer in scorers}
    untouched = tuple(scored[name][1].values[: len(held)] for name in names)
    return choice.compare(
        names,
        (untouched[0], untouched[1]),
        (by_name[names[0]].score(changed, 0).values, by_name[names[1]].score(changed, 0).values),
    )


def _caution(
    scorers: Sequence[Scorer],
    scored: dict[str, tuple[Scores, Scores]],
    examined: Examined,
    reference: Normal,
) -> dict[str, Any] | None:
    """What must be known to trust the likelihood, where the method has one."""
    likely = next((scorer for scorer in scorers if isinstance(scorer, Likelihood)), None)
    if likely is None:
        return None
    nats, bits = (scored[name][0].values for name in ("likelihood", "complexity"))
    return caution.check(likely, reference.held_out, nats, bits, examined.images)


def _remarks(examined: Examined, reference: Normal, false_alarms: float) -> list[str]:
    """What a reader must know of the images, by name."""
    remarks = {
        "repeated": repeated(examined, reference) > 0,
        "few": false_alarms < 1 / (len(reference.held_out) + 1),
        "unlabelled": examined.anomalous is None,
        "no_maps": examined.images[:, 0].size > MOST_PIXELS,
    }
    return [name for name, holds in remarks.items() if holds]


def _figures(
    scorers: Sequence[Scorer],
    scored: dict[str, tuple[Scores, Scores]],
    examined: Examined,
    rates: dict[str, float],
    false_alarms: float,
) -> dict[str, Figures]:
    """What each scorer found at its rate of false alarms, and how far it is above the plainest."""
    about = {scorer.name: (scorer.detail, scorer.baseline) for scorer in scorers}
    if "likelihood" in scored:
        about[caution.CORRECTED] = (caution.CORRECTED_DETAIL, False)
        pairs = zip(scored["likelihood"], scored["complexity"], strict=True)
        own, held = (Scores(caution.corrected(a.values, b.values), None) for a, b in pairs)
        scored = scored | {caution.CORRECTED: (own, held)}
    found = {}
    for name, (detail, baseline) in about.items():
        own, held = scored[name]
        threshold = measure.threshold_at(held.values, rates.get(name, false_alarms))
        quality = measured(own.values, examined, own.maps)
        if quality and not baseline:
            quality["less_pca"] = less(own.values, scored["pca"][0].values, examined)
        found[name] = Figures(name, detail, baseline, own, threshold, held.values, quality)
    return found


def _kept(run: Trained, found: Detection) -> Detection:
    """Write the files aside, then give their folder its name."""
    shown: Maps | None = None  # of the score that decides, or of the next one that has maps
    for name, figures in found.figures.items():
        if figures.scores.maps is not None:
            shown, found.pictures["maps_of"] = figures.scores.maps, name
            break
    make_part(run.folder.detections)
    place = run.folder.detections / found.slug
    with whole_folder(place) as aside:
        found.pictures.update(heat.save(aside, found, shown))
        write_text(aside / "detection.csv", found.to_csv())
        write_json(aside / "detection.json", found.to_dict())
    return replace(found, folder=place)
