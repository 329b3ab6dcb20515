"""Confusion and IoU against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score

from naqsh.metrics import segmentation


def masks(seed=0, classes=5, shape=(3, 11, 7)):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, shape).astype(np.uint8)
    wrong = rng.random(shape) < 0.4
    return truth, np.where(wrong, rng.integers(0, classes, shape), truth)


def test_equal_to_scikit_learns():
    truth, said = masks()
    counts = segmentation.confusion(truth, said, 5)
    assert np.array_equal(counts, confusion_matrix(truth.ravel(), said.ravel(), labels=range(5)))
    per_class = jaccard_score(truth.ravel(), said.ravel(), average=None)
    assert segmentation.intersection_over_union(counts) == pytest.approx(per_class, abs=1e-12)
    assert segmentation.mean_iou(counts) == pytest.approx(per_class.mean(), abs=1e-12)


def test_what_is_not_known_counts_nowhere():
    truth, said = masks()
    hidden = truth.copy()
    hidden[0] = 255
    counts = segmentation.confusion(hidden, said, 5)
    assert np.array_equal(counts, segmentation.confusion(truth[1:], said[1:], 5))


def test_a_class_that_the_truth_has_not_is_left_out_of_the_mean():
    truth, said = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    counts = segmentation.confusion(truth, said, 3)
    assert np.isnan(segmentation.intersection_over_union(counts)[2])
    assert segmentation.mean_iou(counts) == pytest.approx((2 / 3 + 1) / 2)


def test_what_does_not_fit_is_refused():
    truth, said = masks()
    with pytest.raises(ValueError, match="of shape"):
        segmentation.confusion(truth, said[:1], 5)
    with pytest.raises(ValueError, match="outside of 4 classes"):
        segmentation.confusion(truth, said, 4)
    with pytest.raises(ValueError, match="no pixel"):
        segmentation.mean_iou(np.zeros((2, 2), np.int64))
