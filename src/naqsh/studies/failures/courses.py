"""What the samples of a training were at each moment, and how far they still moved."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from naqsh.data.points import Coordinates, Mixture
from naqsh.runs.records import Course, Trial

HELD = 20
"""Good samples that a mode needs to be held."""


def courses(
    seen: Mapping[float, Sequence[Coordinates]], trial: Trial, mixture: Mixture
) -> Iterator[Course]:
    """The course of each training.

    Args:
        seen: after each fraction of the steps, the samples of each seed, of the same latents.
        trial: whose seeds and fractions they are.
        mixture: what the data are drawn from.
    """
    means = np.array(mixture.means)
    for n, seed in enumerate(trial.seeds):
        found = {f: _of(means, 3 * mixture.sigma, samples[n]) for f, samples in seen.items()}
        counts = [np.bincount(of[of >= 0], minlength=len(means)) for of in found.values()]
        late = [_of(means, np.inf, seen[fraction][n]) for fraction in trial.late]
        yield Course(
            seed,
            tuple(int((c >= 1).sum()) for c in counts),
            tuple(int((c >= HELD).sum()) for c in counts),
            tuple(float((of >= 0).mean()) for of in found.values()),
            tuple(_reverse_kl(c) for c in counts),
            float(np.mean([(a != b).mean() for a, b in itertools.pairwise(late)])),
        )


def _of(means: Coordinates, far: float, samples: Coordinates) -> NDArray[np.int64]:
    """The nearest mode of each sample, -1 where it is farther."""
    away = np.linalg.norm(samples[:, None] - means, axis=2)
    return np.where(away.min(1) < far, away.argmin(1), -1)


def _reverse_kl(counts: NDArray[np.int64]) -> float | None:
    """The divergence of the modes' histogram from the even one, in nats; None where it is empty."""
    total = int(counts.sum())
    if not total:
        return None
    there = counts[counts > 0] / total
    return max(0.0, float(there @ np.log(there * len(counts))))
