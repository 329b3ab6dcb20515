"""Good parts and faulty ones: folders in the layout of MVTec AD, with masks of the faults.

::

    train/good/000.png              what a model of the normal is trained on
    test/good/000.png               normal ones that it has not seen
    test/<kind>/000.png             faulty ones, by kind of fault
    ground_truth/<kind>/000_mask.png  white where the fault is; good ones have none

The class of a good image is the first, so that training and test part have the same classes.
Masks are read by :mod:`naqsh.data.masks`.

References:
    MVTec AD - A Comprehensive Real-World Dataset for Unsupervised Anomaly Detection (Bergmann et
    al., 2019), CVPR.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from naqsh.core.errors import NaqshError
from naqsh.data import listing as lists
from naqsh.data.listing import Listing

GOOD = "good"
"""The class of what is as it should be."""


def laid_out(folder: Path) -> bool:
    """Whether a folder has good images to train on and images to test, as MVTec AD has."""
    return (folder / "train" / GOOD).is_dir() and (folder / "test").is_dir()


def listing(folder: Path, split: str) -> Listing:
    """The images of one part: good ones alone for training, all kinds for the test.

    Args:
        folder: in the layout above.
        split: ``"train"`` or ``"test"``.

    Returns:
        the images, whose class 0 is ``good``, the others being the kinds of faults, sorted.

    Raises:
        NaqshError: a part without images, or good ones missing where they are trained on.
    """
    test = lists.files(folder, "test", least=1, masks=True)
    if test.labels is None:
        raise NaqshError(f"{folder / 'test'} has images but no sub-folders; sort them by kind")
    classes = (GOOD, *sorted(set(test.classes) - {GOOD}))
    if split == "train":
        good = lists.files(folder / "train" / GOOD)
        return replace(good, labels=np.zeros(len(good.files), np.int64), classes=classes)
    number = np.array([classes.index(kind) for kind in test.classes])
    return replace(test, labels=number[test.labels], classes=classes)
