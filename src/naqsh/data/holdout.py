"""A test split for sets that have none of their own: images held out by a seed.

The division depends on the seed, on how many different images there are and on which are equal, in
the order of the set. So, unless images become equal by it, it is the same at every size and number
of channels, on every machine, and whatever the training's seed is. Equal images stay together: none
is trained on and tested too.
"""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.core.seeds import derive
from naqsh.data.dataset import DataSet


class NoTestSplit(NaqshError):
    """A set is asked for test images and has none."""


def held_out(whole: DataSet, split: str, share: float, seed: int) -> DataSet:
    """One side of the division: the images that stay for training, or those held out for the test.

    Args:
        whole: a set without a test split.
        split: ``"train"`` or ``"test"``.
        share: of the images that is held out, in (0, 1); at least one stays on either side.
        seed: any integer.

    Returns:
        that part, with a note of the division.

    Raises:
        NaqshError: `share` is not inside (0, 1), or there are not two different images.
    """
    if not 0 < share < 1:
        raise NaqshError(f"cannot hold out a share of {share}; give one between 0 and 1")
    group = _groups(whole.images)
    kinds = int(group.max()) + 1
    if kinds < 2:
        raise NaqshError(
            f"{whole.name}: no test split can be held out, as its {len(whole)} images are all equal"
        )
    order = np.random.Generator(np.random.Philox(derive(seed, "holdout"))).permutation(kinds)
    # Whole groups, until the share is reached as nearly as may be.
    reached = np.cumsum(np.bincount(group)[order])
    count = int(np.argmin(np.abs(reached[:-1] - share * len(whole)))) + 1
    test = np.isin(group, order[:count])
    chosen = whole.subset(np.flatnonzero(test if split == "test" else ~test))
    note = (
        f"{whole.name} has no test split of its own: {int(test.sum())} of its {len(whole)} images "
        f"are held out (data.holdout {share:g}, data.holdout_seed {seed})"
    )
    return replace(chosen, notes=(*whole.notes, note))


def no_test_split(name: str) -> NoTestSplit:
    """The error for a set that is asked for test images and has none: says what would work."""
    return NoTestSplit(
        f"{name} has no test split: train with --data.holdout 0.1 to hold out images by seed, "
        "measure against the training images with --reference train, or sort the images into "
        "sub-folders named train and test"
    )


def _groups(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The number of each image's content, in order of first appearance; shape (N,)."""
    seen: dict[bytes, int] = {}
    digests = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    return np.array([seen.setdefault(digest, len(seen)) for digest in digests], np.int64)
