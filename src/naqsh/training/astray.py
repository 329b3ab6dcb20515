"""Whether a stage's samples lie where images lie, told by the nearest training image.

Some training images are kept back for it. A sample is *astray* when it is farther from all the
others than any of those is: noise, mostly. Were samples and images alike (exchangeable), 5 of 100
would be astray with the chance 0.0003 where 400 images are kept back
(:func:`naqsh.metrics.nearness.chance`); what is less likely than 0.001 is said, of the middle and
the last stage. So a perfect model is wrongly remarked on in fewer than two runs of a thousand.
After the first stage every model is poor, which is not worth a word.

Samples are drawn from the same noise at each stage, so that their distances at two stages make
pairs. Where samples are astray and lie farther than they did at an earlier stage, by four standard
errors of the mean difference, they have become worse, and that is said too.

Distances are root mean squares of pixel differences: a blurred or repeated image is not astray, nor
is a little noise on a good one.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from naqsh.core.thinning import evenly
from naqsh.metrics.nearness import Pixels, chance, nearest
from naqsh.training.diagnosis import Said, say

KEPT_BACK = 400
"""Training images, at most, that samples are compared with."""

RARE = 1e-3
"""What is said has a smaller chance than this where samples and images are alike."""

RISE = 4.0
"""Standard errors that the mean distance must have risen by before samples are called worse."""

WORK = 5e8
"""Products, at most, of one look: less than a tenth of a second on one core."""

SIDE = 32
"""Pixels of a side that are looked at: every second, third ... of larger images."""

METRIC = "samples.nearest"
"""The name that all of this goes by in ``diagnosis.jsonl``."""


def look(samples: Pixels, real: Pixels) -> dict[str, Any]:
    """How far samples lie from training images, and how many of them are astray.

    Args:
        samples: uint8 with shape (n, C, H, W).
        real: the training images, uint8 with shape (N, C, H, W); some of them are taken, evenly.

    Returns:
        for ``stages.jsonl``: the ``distances`` of the samples and the ``usual`` one, the mean of
        the images kept back, root mean squares of pixel differences in [0, 1]; the share
        ``astray``, and its ``chance`` were samples and images alike. Empty for a single image.
    """
    step = -(-max(samples.shape[2:]) // SIDE)
    samples = samples[:, :, ::step, ::step]
    kept_back = min(KEPT_BACK, len(real) // 2)
    if not kept_back:
        return {}
    n, numbers = len(samples), math.prod(samples.shape[1:])
    among = max(1, min(len(real) - kept_back, int(WORK / ((n + kept_back) * numbers))))
    places = evenly(len(real), kept_back + among)
    back = evenly(len(places), kept_back)
    taken = np.asarray(real[places])[:, :, ::step, ::step]
    others = np.delete(taken, back, axis=0)
    distances, _ = nearest(samples, others)
    usual, _ = nearest(taken[back], others)
    farther = int((distances > usual.max()).sum())
    return {
        "distances": [round(float(distance), 6) for distance in distances],
        "usual": round(float(usual.mean()), 6),
        "astray": farther / n,
        "chance": chance(farther, n, kept_back),
    }


class Watch:
    """What to say of the stages of a run, one after the other."""

    def __init__(self) -> None:
        self._stages, self._warned = 0, False
        self._least: list[float] = []

    def read(self, record: Mapping[str, Any], last: bool) -> list[Said]:
        """What to say after a stage; a warning is said again of the last one if it still holds.

        Args:
            record: the stage's line of ``stages.jsonl``.
            last: whether the run ends with it.
        """
        found = record.get("nearness")
        if not found:
            return []
        self._stages += 1
        share, distances = found["astray"], found["distances"]
        before = self._least or distances
        self._least = min(before, distances, key=np.mean)
        if found["chance"] >= RARE:
            warned, self._warned = self._warned, False
            return [say("astray_over", METRIC, share)] if warned else []
        if not last and (self._stages == 1 or self._warned):
            return []
        self._warned = True
        said = [say("astray", METRIC, share)]
        if _rose(before, distances):
            now, then = np.mean(distances), np.mean(before)
            said.append(say("worse", METRIC, float(now), f"{then:.3g}"))
        return said


def _rose(before: list[float], now: list[float]) -> bool:
    """Whether the distances of the same samples, which make pairs, are larger now."""
    if len(before) != len(now):
        return False
    rise = np.subtract(now, before)
    error = rise.std(ddof=1) / math.sqrt(len(rise)) if len(rise) > 1 else math.inf
    return bool(rise.mean() > RISE * error)
