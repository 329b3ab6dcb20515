"""How the measures answer to damage: `python tools/fid_under_damage.py`, writes docs/images/.

10,000 training digits are blurred, or noise is added, more and more, and measured against the
10,000 test digits by the package's own MNIST features. A measure to be trusted rises evenly.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from naqsh import data, metrics

OUT = Path(__file__).parent.parent / "docs" / "images" / "fid-under-damage.png"
COUNT = 10_000
NOISE = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
BLUR = (0.0, 0.4, 0.6, 0.8, 1.0, 1.5)

Pixels = NDArray[np.uint8]


def noisy(images: Pixels, deviation: float) -> Pixels:
    """Normal noise of so much of the whole range, clipped."""
    random = np.random.default_rng(0).normal(0, 255 * deviation, images.shape)
    return np.clip(np.rint(images + random), 0, 255).astype(np.uint8)


def blurred(images: Pixels, radius: float) -> Pixels:
    """A Gaussian blur of so many pixels."""
    smooth = gaussian_filter(images.astype(np.float32), (0, 0, radius, radius))
    whole: Pixels = np.clip(np.rint(smooth), 0, 255).astype(np.uint8)
    return whole


def main() -> int:
    """Measure, print, draw; 1 where a curve does not rise."""
    features = metrics.by_name("mnist")
    real = metrics.extract(features, data.load("mnist", split="test").images, cache=True)
    train = data.load("mnist").images
    chosen = np.random.default_rng(1).choice(len(train), COUNT, replace=False)
    images = np.asarray(train[np.sort(chosen)])
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    rising = True
    for axis, (name, damage, amounts) in zip(
        axes,
        (("noise, share of the range", noisy, NOISE), ("blur, pixels", blurred, BLUR)),
        strict=True,
    ):
        values = []
        for amount in amounts:
            table = metrics.extract(features, torch.from_numpy(damage(images, amount)))
            values.append(metrics.frechet_distance_features(real, table))
            print(f"{name} {amount}: fid {values[-1]:.4g}", flush=True)
        rising = rising and values == sorted(values)
        axis.plot(amounts, values, "o-")
        axis.set(xlabel=name, yscale="log")
    axes[0].set(ylabel="Frechet distance, mnist features")
    figure.tight_layout()
    figure.savefig(OUT, dpi=90)
    return 0 if rising else 1


if __name__ == "__main__":
    sys.exit(main())
