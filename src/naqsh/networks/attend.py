r"""The arithmetic of attention, :math:`\mathrm{softmax}(q k^\top / \sqrt{d})\, v`.

Of short rows in bfloat16 on a CPU, PyTorch's kernel takes longer than the formula: there and back,
of 49 to 64 rows three to seven times as long (`benchmarks/attention.py`), of 256 about as long. In
float32, and of more rows, it is the faster one and keeps no table of all pairs.

References:
    Attention Is All You Need (Vaswani et al., 2017), arXiv:1706.03762, equation 1.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

SHORT = 200
"""Rows up to which the formula is used."""


def attend(query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
    """The mean of values by the softmax of products.

    Args:
        query: shape (..., L, d).
        key: shape (..., M, d).
        value: shape (..., M, d).
        causal: whether row i sees rows 0 to i alone; then L is M.

    Returns:
        shape (..., L, d).
    """
    plain = query.device.type == "cpu" and query.dtype == torch.bfloat16
    if not plain or key.shape[-2] > SHORT:
        return scaled_dot_product_attention(query, key, value, is_causal=causal)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(-1) @ value
