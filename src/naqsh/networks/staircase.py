r"""Linear layers whose mask is a staircase, stored and computed without the part that is zero.

In an autoregressive network a unit of degree m sees units of degree at most m. With the units of
both sides sorted by degree, a row of the weight matrix sees a prefix of the columns, and the prefix
grows from row to row:

    x . . . . .
    x x x . . .
    x x x . . .
    x x x x x x

Rows are taken in groups. A group stores and multiplies one rectangle that is as wide as its last
row needs; G groups of like size hold (1 + 1/G)/2 of the matrix. Within a group the columns before
its `start` are seen by all its rows, and the rest, the corner, by some of them. What a row does not
see of its corner is zero from the beginning and its gradient is zero, so with every optimiser of
ours it stays zero and no mask is multiplied in the forward pass.

References:
    MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015), arXiv:1502.03509,
    equations 8 to 11: the masks.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Group(NamedTuple):
    """Rows [first, last) of a staircase; all see columns [0, start), none those from `stop` on."""

    first: int
    last: int
    start: int
    stop: int


class StaircaseLinear(nn.Module):
    """A linear layer of which row i sees the first ``counts[i]`` columns.

    Args:
        counts: columns that each row sees, rising, int64 with shape (rows,).
        rows: where groups of rows begin, from 0, and the number of rows at the end.
        columns: the same of columns: rows of group g see at least ``columns[g]`` of them and at
            most ``columns[g + 1]``.
        gain: standard deviation of the outputs when inputs have variance 1; each row's weights
            are drawn for the number of columns that it sees.

    Attributes:
        weight: the groups' rectangles one after the other, row by row; shape (1, stored), because a
            weight has two dimensions where a bias has one.
    """

    corners: Tensor

    def __init__(
        self, counts: Tensor, rows: Sequence[int], columns: Sequence[int], gain: float
    ) -> None:
        super().__init__()
        self.groups = [
            Group(*bounds)
            for bounds in zip(rows[:-1], rows[1:], columns[:-1], columns[1:], strict=True)
        ]
        self.rows, self.columns = rows[-1], columns[-1]
        self._check(counts.tolist())
        sizes = [(g.last - g.first) * g.stop for g in self.groups]
        self.weight = nn.Parameter(torch.empty(1, sum(sizes)))
        self.bias = nn.Parameter(torch.zeros(self.rows))
        # The counts are read, so they lie in memory also where the weights do not ("meta").
        masks = [
            torch.arange(g.start, g.stop, device="cpu") < counts[g.first : g.last, None]
            for g in self.groups
        ]
        corners = torch.cat([mask.flatten() for mask in masks])
        self.register_buffer("corners", corners.to(self.bias.device), persistent=False)
        self._fill(counts, gain)
        self.register_load_state_dict_post_hook(StaircaseLinear._clear)  # type: ignore[no-untyped-call]

    def _check(self, seen: list[int]) -> None:
        ordered = all(a <= b for a, b in pairwise(seen))
        held = all(
            g.start <= seen[row] <= g.stop for g in self.groups for row in range(g.first, g.last)
        )
        if not ordered or not held or len(seen) != self.rows:
            raise ValueError("rows must see ever more columns, within the bounds of their groups")

    @torch.no_grad()
    def _fill(self, counts: Tensor, gain: float) -> None:
        scale = gain / counts.to(self.bias.device).clamp(min=1).sqrt()
        self.weight.normal_()
        for group, weight in zip(self.groups, self.rectangles(self.weight), strict=True):
            weight.mul_(scale[group.first : group.last, None])
        self.clear(self.weight)

    def rectangles(self, packed: Tensor) -> list[Tensor]:
        """Views of each group's weights, or their gradients: (last - first, stop) each."""
        flat, views, begin = packed.view(-1), [], 0
        for first, last, _, stop in self.groups:
            size = (last - first) * stop
            views.append(flat[begin : begin + size].view(last - first, stop))
            begin += size
        return views

    @torch.no_grad()
    def clear(self, packed: Tensor) -> None:
        """Set to zero, in place, what no row sees of `packed`, weights or gradients."""
        begin = 0
        for group, weight in zip(self.groups, self.rectangles(packed), strict=True):
            corner = weight[:, group.start :]
            mask = self.corners[begin : begin + corner.numel()]
            corner.mul_(mask.view(corner.shape))
            begin += corner.numel()

    def _clear(self, _: object) -> None:
        """Weights from elsewhere keep what the layer relies on."""
        self.clear(self.weight)

    @torch.no_grad()
    def pack(self, dense: Tensor) -> None:
        """Take the weights from a matrix with shape (rows, columns)."""
        for group, weight in zip(self.groups, self.rectangles(self.weight), strict=True):
            weight.copy_(dense[group.first : group.last, : group.stop])
        self.clear(self.weight)

    def dense(self) -> Tensor:
        """The weights as a matrix with shape (rows, columns)."""
        whole = self.weight.new_zeros(self.rows, self.columns)
        for group, weight in zip(self.groups, self.rectangles(self.weight), strict=True):
            whole[group.first : group.last, : group.stop] = weight
        return whole

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, columns) to (N, rows)."""
        y: Tensor = _Product.apply(x, self.weight, self.bias, self)  # type: ignore[no-untyped-call]
        return y

    def gradients(self, gradient: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of weight and bias, from the outputs' gradient (N, rows) and the inputs (N, columns)."""
        packed = torch.empty_like(self.weight)
        for group, weight in zip(self.groups, self.rectangles(packed), strict=True):
            torch.mm(gradient[:, group.first : group.last].t(), x[:, : group.stop], out=weight)
        self.clear(packed)
        return packed, gradient.sum(0)


class _Product(torch.autograd.Function):
    """The layer's product, one matrix multiplication a group, written where it belongs."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, layer: StaircaseLinear
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.layer = layer
        y = x.new_empty(len(x), layer.rows)
        for (first, last, _, stop), w in zip(layer.groups, layer.rectangles(weight), strict=True):
            torch.addmm(bias[first:last], x[:, :stop], w.t(), out=y[:, first:last])
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        layer: StaircaseLinear = ctx.layer
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = torch.empty_like(x)
            pairs = list(zip(layer.groups, layer.rectangles(weight), strict=True))
            # The last group is as wide as the layer: it fills the buffer, the others add to it.
            (first, last, _, _), w = pairs[-1]
            torch.mm(gradient[:, first:last], w, out=to_x)
            for (first, last, _, stop), w in pairs[:-1]:
                to_x[:, :stop].addmm_(gradient[:, first:last], w)
        to_weight, to_bias = (
            layer.gradients(gradient, x) if ctx.needs_input_grad[1] else (None,) * 2
        )
        return to_x, to_weight, to_bias, None
