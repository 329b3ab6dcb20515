r"""Which of two scores decides, told from normal images alone.

Labels of test images must not choose the score that they then measure. What held-out normal images
can tell is how well a score notices that a part of one has changed: a rectangle of 2 to 15 % of the
area, cut from a place of the image and pasted at another (CutPaste), makes an image that is not
normal and has the same colours and textures. Whole patches are noticed by any score, so the pasted
one is blended with what it covers, at an opacity drawn between 2 % and 100 %, evenly in its
logarithm. The AUROC of pasted against untouched images is taken for both scores on the same images,
and the better one decides where a paired interval of the difference excludes 0. Real faults may
differ from pasted patches, so what was chosen is said with these figures; and there is no choice
where

* the held-out images were trained on: a model that remembers them notices any change of them,
* fewer than 20 are held out, or they are smaller than 8 pixels across.

Then both scores flag, each at half of the rate of false alarms that was asked for, so that by
Bonferroni's inequality the union keeps to the rate.

References:
    CutPaste: Self-Supervised Learning for Anomaly Detection and Localization (Li et al., 2021),
    arXiv:2104.04015, section 2.2: sizes and aspect ratios of the patches.
"""

from typing import Literal

import numpy as np

from naqsh.core.noise import derive
from naqsh.metrics import areas
from naqsh.metrics.detection import auroc
from naqsh.runs.records import Choice
from naqsh.studies.detection.scores import Floats, Pixels

BASELINE = "pca"
"""What a method's score is held against."""

LEAST_IMAGES = 20
LEAST_SIDE = 8
MOST_IMAGES = 400
"""Held-out images that are pasted, at most: enough for an AUROC to within 0.04."""

AREA = (0.02, 0.15)
ASPECT = (0.3, 1 / 0.3)
OPACITY = (0.02, 1.0)


def unsound(held_out: Pixels, origin: str) -> Literal["", "seen", "few", "small"]:
    """Why held-out images, uint8 (N, C, H, W), can choose no score; empty where they can."""
    if origin == "training":
        return "seen"
    if len(held_out) < LEAST_IMAGES:
        return "few"
    return "small" if min(held_out.shape[2:]) < LEAST_SIDE else ""


def pasted(images: Pixels, seed: int) -> Pixels:
    """Each image with a patch of its own blended in at another place.

    Args:
        images: uint8 with shape (N, C, H, W), at least 8 pixels across.
        seed: of sizes and places; image k has a stream of its own.

    Returns:
        a copy of the same shape, in which each image differs inside one rectangle at most.
    """
    changed = images.copy()
    height, width = images.shape[2:]
    for number, image in enumerate(changed):
        random = np.random.Generator(np.random.Philox(derive(seed, "paste", number)))
        area = random.uniform(*AREA) * height * width
        aspect = np.exp(random.uniform(*np.log(ASPECT)))
        rows = int(np.clip(round(np.sqrt(area * aspect)), 2, height - 1))
        columns = int(np.clip(round(np.sqrt(area / aspect)), 2, width - 1))
        top, left = (random.integers(0, n, 2) for n in (height - rows + 1, width - columns + 1))
        opacity = np.exp(random.uniform(*np.log(OPACITY)))
        patch = image[:, top[0] : top[0] + rows, left[0] : left[0] + columns].astype(np.float64)
        covered = image[:, top[1] : top[1] + rows, left[1] : left[1] + columns]
        covered[:] = np.rint(opacity * patch + (1 - opacity) * covered)
    return changed


def compare(
    names: tuple[str, str], untouched: tuple[Floats, Floats], changed: tuple[Floats, Floats]
) -> Choice:
    """The choice between two scores.

    Args:
        names: of the method's score and of the baseline.
        untouched: what each gives held-out normal images, shape (N,).
        changed: what each gives the same images with a patch pasted, shape (N,).
    """
    own, other = (np.concatenate(pair) for pair in zip(untouched, changed, strict=True))
    labels = np.repeat([False, True], len(untouched[0]))
    difference = areas.less(own, other, labels)
    low, high = difference.interval
    first = difference.value > 0
    return Choice(
        names,
        images=len(untouched[0]),
        aurocs=(auroc(own, labels), auroc(other, labels)),
        difference=difference.value,
        interval=(low, high),
        better=None if low <= 0 <= high else names[0] if first else names[1],
    )
