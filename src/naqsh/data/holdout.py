"""A test split for sets that have none of their own: images held out by a seed.

The division depends on the seed, on how many different images there are and on which are equal, in
the order of the set. So, unless images become equal by it, it is the same at every size and number
of channels, on every machine, and whatever the training's seed is. Equal images stay together: none
is trained on and tested too. Pairs stay pairs, and are equal where either image is; a second domain
without pairs is divided by itself.
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
    if whole.second is not None and whole.paired:
        group = _joined(group, _groups(whole.second))
    test = _division(whole.name, group, share, seed, "holdout")
    rows = np.flatnonzero(test if split == "test" else ~test)
    counts = f"{int(test.sum())} of its {len(whole)} images"
    if whole.second is None or whole.paired:
        chosen = whole.subset(rows)
    else:
        purpose = "holdout of the second domain"
        other = _division(whole.name, _groups(whole.second), share, seed, purpose)
        chosen = whole.of_both(rows, np.flatnonzero(other if split == "test" else ~other))
        counts += f" and {int(other.sum())} of the {len(whole.second)} of its second domain"
    note = (
        f"{whole.name} has no test split of its own: {counts} "
        f"are held out (data.holdout {share:g}, data.holdout_seed {seed})"
    )
    return replace(chosen, notes=(*whole.notes, note))


def _division(
    name: str, group: NDArray[np.int64], share: float, seed: int, purpose: str
) -> NDArray[np.bool_]:
    """Which images are held out: whole groups, until the share is reached as nearly as may be."""
    kinds = int(group.max()) + 1
    if kinds < 2:
        raise NaqshError(
            f"{name}: no test split can be held out, as its {len(group)} images are all equal"
        )
    order = np.random.Generator(np.random.Philox(derive(seed, purpose))).permutation(kinds)
    reached = np.cumsum(np.bincount(group)[order])
    count = int(np.argmin(np.abs(reached[:-1] - share * len(group)))) + 1
    return np.isin(group, order[:count])


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


def _joined(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each pair's group, of those that are equal in either image, or in turn are."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    side = int(first.max()) + 1
    ends = first, second + side
    total = side + int(second.max()) + 1
    links = coo_array((np.ones(len(first)), ends), shape=(total, total))
    part = connected_components(links, directed=False)[1][first]
    seen: dict[int, int] = {}
    return np.array([seen.setdefault(int(number), len(seen)) for number in part], np.int64)
