"""What the samples of a training were at each moment, and how far they still moved."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from naqsh.data.points import Coordinates, Mixture
from naqsh.metrics.modes import TWENTY, Gaussians
from naqsh.runs.records import Course, Trial


def courses(
    seen: Mapping[float, Sequence[Coordinates]], trial: Trial, mixture: Mixture
) -> Iterator[Course]:
    """The course of each training.

    Args:
        seen: after each fraction of the steps, the samples of each seed, of the same latents.
        trial: whose seeds and fractions they are.
        mixture: what the data are drawn from.
    """
    means = torch.tensor(mixture.means, dtype=torch.float64)
    good, nearest = (Gaussians(means, sigma) for sigma in (mixture.sigma, float("inf")))
    for n, seed in enumerate(trial.seeds):
        found = {f: _of(good, samples[n]) for f, samples in seen.items()}
        counts = [np.bincount(of[of >= 0], minlength=len(means)) for of in found.values()]
        late = [_of(nearest, seen[fraction][n]) for fraction in trial.late]
        yield Course(
            seed,
            tuple(int((c >= 1).sum()) for c in counts),
            tuple(int((c >= TWENTY).sum()) for c in counts),
            tuple(float((of >= 0).mean()) for of in found.values()),
            tuple(_reverse_kl(c) for c in counts),
            float(np.mean([(a != b).mean() for a, b in itertools.pairwise(late)])),
        )


def _of(modes: Gaussians, samples: Coordinates) -> NDArray[np.int64]:
    """The mode of each sample, -1 for none."""
    found: NDArray[np.int64] = modes.of(torch.from_numpy(samples)).numpy()
    return found


def _reverse_kl(counts: NDArray[np.int64]) -> float | None:
    """The divergence of the modes' histogram from the even one, in nats; None where it is empty."""
    total = int(counts.sum())
    if not total:
        return None
    there = counts[counts > 0] / total
    return max(0.0, float(there @ np.log(there * len(counts))))
