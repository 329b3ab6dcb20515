"""Data sets that have every column."""

import numpy as np

from naqsh.data import DataSet

K, D, M = 3, 4, 7
"""Captions of an image, numbers of an embedding, images of a second domain that is not paired."""


def with_every_column(data: DataSet, paired: bool = False) -> DataSet:
    """A set with a second domain, captions and texts, whose values tell their row.

    Caption k of image n is (n, k, n, k); image m of the second domain is 100 + m everywhere, 4x4 in
    three colours.

    A second domain that is there stays.

    Args:
        data: of up to 155 images.
        paired: whether image n of the second domain belongs to image n.
    """
    count = len(data)
    second, paired = data.second, paired or data.paired
    if second is None:
        numbers = np.arange(100, 100 + (count if paired else M), dtype=np.uint8)
        second = np.broadcast_to(numbers[:, None, None, None], (len(numbers), 3, 4, 4))
    captions = np.zeros((count, K, D), np.float32)
    captions[..., 0] = captions[..., 2] = np.arange(count)[:, None]
    captions[..., 1] = captions[..., 3] = np.arange(K)
    return data.with_columns(
        second=second,
        paired=paired,
        captions=captions,
        texts=[[f"image {n}, caption {k}" for k in range(K)] for n in range(count)],
    )
