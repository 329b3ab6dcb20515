"""From a run and images to scores, figures and files."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from naqsh.core.abilities import Encodes, HasLogProb, Reconstructs
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.printable import whole
from naqsh.core.progress import Progress
from naqsh.data.fingerprint import fingerprint_of
from naqsh.io.files import make_part, whole_folder, write_json, write_text
from naqsh.metrics import detection as measure
from naqsh.runs.records import Choice
from naqsh.runs.trained import Trained
from naqsh.studies.detection import caution, choice, heat
from naqsh.studies.detection.baselines import Neighbour, Residual
from naqsh.studies.detection.density import FlowOnFeatures, GaussianOnFeatures
from naqsh.studies.detection.detector import Detector
from naqsh.studies.detection.examined import Examined
from naqsh.studies.detection.figures import Figures, is_rounding, less, measured
from naqsh.studies.detection.images import Normal, normal, repeated, under_test
from naqsh.studies.detection.maps import feature_maps
from naqsh.studies.detection.result import Detection
from naqsh.studies.detection.scores import (
    Likelihood,
    Maps,
    Pixels,
    Reconstruction,
    Scorer,
    Scores,
    joined,
)

DRAWS = 8
AUTO = "auto"
"""Asks for the score that held-out normal images find better (:mod:`.choice`)."""

MOST_PIXELS = 1 << 28
"""Pixels of heat maps that are kept at once, 1 GiB a scorer."""


def detect(
    run: Trained,
    source: str,
    *,
    given_normal: str | None = None,
    features: str | None = None,
    score: str | None = None,
    false_alarms: float = 0.05,
    draws: int = DRAWS,
    n: int | None = None,
    good: str | None = None,
    skip_broken: bool = False,
    seed: int = 0,
    batch: int = 50,
    device: str = "cpu",
    data_home: Path | str | None = None,
    progress: Progress | None = None,
) -> Detection:
    """Score images by a run, and write what was found into a folder of its own in the run's.

    There ``detection.json`` holds all figures, ``detection.csv`` the scores of every image, and
    PNGs show the heat maps of those that are flagged and of the extremes. It is replaced by a
    detection of the same images under the same terms, and by nothing else.

    Args:
        run: trained on normal images.
        source: what to examine: see :func:`naqsh.studies.detection.images.under_test`.
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
        seed: of noise and choices.
        batch: images scored at a time.
        device: where methods and features compute.
        data_home: where data sets are looked for first.
        progress: called with how far it is.

    Raises:
        NaqshError: the method has neither likelihood nor reconstruction, images that cannot be
            had, or an argument that does not fit.
    """
    if min(draws, batch, 1 if n is None else n) < 1:
        raise NaqshError(f"draws, batch and n must be at least 1, got {draws}, {batch} and {n}")
    if not 0 < false_alarms < 1:
        raise NaqshError(f"a rate of false alarms lies between 0 and 1, not {false_alarms}")
    source, given_normal = whole(source), given_normal and whole(given_normal)
    progress = progress or (lambda what, done, total: None)
    place = torch.device(device)
    scorers = _scorers(run, features, draws, seed, place, progress)
    decides = _deciding(score, [scorer.name for scorer in scorers])
    examined = under_test(source, run, n, data_home, good, skip_broken)
    reference, notes = normal(run, given_normal, seed, data_home, good, skip_broken)
    notes += _remarks(examined, reference, false_alarms)
    with_maps = "no_maps" not in notes
    scored = {
        scorer.name: _run(scorer, examined, reference, batch, progress, with_maps)
        for scorer in scorers
    }
    picked = None
    if score == AUTO:
        picked = _choice(scorers, scored, reference, decides, seed)
        decides = picked.better or decides
    beside = choice.BASELINE if picked and picked.better is None else None
    rates = dict.fromkeys((decides, beside), false_alarms / 2) if beside else {}
    found = _figures(scorers, scored, examined, rates, false_alarms)
    likelihood = None
    if "likelihood" in scored:
        likely = next(scorer for scorer in scorers if isinstance(scorer, Likelihood))
        nats, bits = (scored[name][0].values for name in ("likelihood", "complexity"))
        likelihood = caution.check(likely, reference.held_out, nats, bits, examined.images)
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
        figures={name: found[name] for name in sorted(found, key=partial(_rank, decides, beside))},
        likelihood=likelihood,
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
    deciders = [figures for figures in (detection.deciding, detection.beside) if figures]
    about = {"false_alarms": false_alarms, "normal": detection.normal, "step": detection.step}
    ready = Detector(
        run.method.shape,
        {figures.name: _fitted(figures.name, scorers) for figures in deciders},
        {figures.name: figures.threshold for figures in deciders},
        about | {"recipe": run.recipe.name, "range": run.recipe.data.range},
        run.weights_file,
    )
    return _kept(run, replace(detection, detector=ready))


def _fitted(name: str, scorers: Sequence[Scorer]) -> Scorer:
    """The scorer of a name; the corrected likelihood is made of another."""
    if name != caution.CORRECTED:
        return next(scorer for scorer in scorers if scorer.name == name)
    own = next(scorer for scorer in scorers if isinstance(scorer, Likelihood))
    return caution.Corrected(own.method, own.draws, own.seed, own.device)


ORDER = (
    "flow-on-features",
    "gaussian-on-features",
    "likelihood",
    caution.CORRECTED,
    "reconstruction",
    "pca",
    "neighbour",
    "complexity",
)
"""How scorers are listed, and which of them decides where none is asked for."""


def _rank(decides: str, beside: str | None, name: str) -> tuple[bool, bool, int]:
    return name != decides, name != beside, ORDER.index(name)


def _scorers(
    run: Trained,
    features: str | None,
    draws: int,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> list[Scorer]:
    method = run.method.to(device)
    scorers: list[Scorer] = []
    if isinstance(method, HasLogProb):
        scorers.append(Likelihood(method, draws, seed, device))
    if isinstance(method, Reconstructs | Encodes):
        scorers.append(Reconstruction(method, device))
    if features:
        maps = feature_maps(features, device)
        flow = FlowOnFeatures(maps, seed, partial(progress, "flow on features"))
        flow.require_fit(method.shape)  # before other scores take their time
        scorers.append(flow)
        scorers.append(GaussianOnFeatures(maps, seed))
    if not scorers:
        raise NaqshError(
            f"{run.recipe.name} cannot score images: its method has neither log_prob nor "
            "reconstruct, as VAEs and flows have; or give --features"
        )
    return [*scorers, Residual(), Neighbour(), caution.Complexity()]


def _deciding(asked: str | None, names: list[str]) -> str:
    if "likelihood" in names:
        names = [*names, caution.CORRECTED]
    if asked in (None, AUTO):
        return min(names, key=ORDER.index)
    if asked not in names:
        raise one_of("score", asked, [*names, AUTO])
    return asked


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


def _run(
    scorer: Scorer,
    examined: Examined,
    reference: Normal,
    batch: int,
    progress: Progress,
    with_maps: bool,
) -> tuple[Scores, Scores]:
    """Scores of the images examined and of the normal ones held out."""
    scorer.fit(reference.fitted)
    total = len(examined) + len(reference.held_out)

    def scores(images: Pixels, before: int, keep: bool) -> Scores:
        parts = []
        for start in range(0, len(images), batch):
            part = scorer.score(np.asarray(images[start : start + batch]), start)
            parts.append(part if keep else Scores(part.values, None))
            progress(scorer.name, before + min(start + batch, len(images)), total)
        return joined(parts)

    held = scores(reference.held_out, 0, False)
    return scores(examined.images, len(reference.held_out), with_maps), held


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
