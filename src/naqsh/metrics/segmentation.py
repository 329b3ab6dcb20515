r"""How well pixels were classified: confusion, intersection over union, and its mean over classes.

Counts are pooled over all images of a test set, as in Pascal VOC, so that an image in which a class
is hardly seen has little weight. Of class k, with :math:`C_{ij}` the pixels of class i that were
said to be j,

.. math:: \mathrm{IoU}_k = \frac{C_{kk}}{\sum_j C_{kj} + \sum_i C_{ik} - C_{kk}}.

The mean is over the classes that the truth has, so that all predictions of one test set are
measured over the same ones; a class that is only predicted lowers the IoU of those it is taken for.
Pixels whose class is not known count nowhere, neither in the intersection nor in the union.

References:
    The Pascal Visual Object Classes Challenge: A Retrospective (Everingham et al., 2015), IJCV.
"""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> Counts:
    """How many pixels of each class were taken for each, shape (classes, classes).

    Args:
        truth: numbers of classes; what is not below `classes` is not known. Any shape.
        predicted: numbers of classes, of that shape.
        classes: how many there are.

    Raises:
        ValueError: the shapes differ, or a known pixel was predicted to be no class.

    Example:
        >>> confusion(np.array([0, 0, 1, 255]), np.array([0, 1, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"masks of shape {truth.shape} against {predicted.shape}")
    known = (truth >= 0) & (truth < classes)
    own, said = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    if len(said) and not (said.min() >= 0 and said.max() < classes):
        raise ValueError(f"a prediction lies outside of {classes} classes")
    counts: Counts = np.bincount(own * classes + said, minlength=classes**2)
    return counts.reshape(classes, classes)


def intersection_over_union(counts: Counts) -> NDArray[np.float64]:
    """The IoU of each class in [0, 1], shape (classes,); not a number for one the truth has not."""
    right = np.diag(counts).astype(np.float64)
    own, said = counts.sum(1), counts.sum(0)
    return np.where(own > 0, right / np.maximum(own + said - right, 1), np.nan)


def mean_iou(counts: Counts) -> float:
    """The mean IoU in [0, 1] over the classes that the truth has.

    Raises:
        ValueError: the truth has none.

    Example:
        >>> mean_iou(np.array([[1, 1], [0, 1]]))
        0.5
    """
    ious = intersection_over_union(counts)
    if np.isnan(ious).all():
        raise ValueError("no pixel has a known class")
    return float(np.nanmean(ious))
