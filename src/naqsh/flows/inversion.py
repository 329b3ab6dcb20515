r"""Undoing an autoregressive map in degree order: about the arithmetic of one forward pass.

To find x with :math:`z_i = (x_i - \mu_i(x_{<i}))\, e^{-\alpha_i(x_{<i})}` one dimension after the
other takes D passes of the network when each starts anew. But a hidden unit of degree m is final
once :math:`x_0, \dots, x_{m-1}` are known, and so are the parameters of all dimensions from m up to
the next degree. So every unit and every output is computed once, and dimensions between two degrees
come in one block.

Rows go by the groups of :mod:`naqsh.networks.staircase`: what a group needs of the groups before it
is one matrix product; only the corners are left for the blocks, one after the other. A block
multiplies its part of a corner in full, with values that are not final too: their weights are zero.
Features lie in rows here, images in columns, so that a block is contiguous.

**Gradient.** Let :math:`t` be the whole gradient with respect to x, of what follows and of later
dimensions through the network. From :math:`x = \mu + z e^\alpha`,

.. math:: \bar z = t\, e^\alpha, \qquad \bar\mu = t, \qquad \bar\alpha = \bar z\, z + w,

where w is the gradient with respect to :math:`\alpha`. The gradient with respect to
:math:`x_j` needs :math:`\bar\mu_i, \bar\alpha_i` of all later i: a triangular system that the same
blocks solve in reverse order. What the sweep leaves at each layer gives the weights' gradients.

References:
    Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
    arXiv:1705.07057, section 3.1: sampling takes D passes.
    Improved Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
    arXiv:1606.04934, section 3.
"""

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from naqsh.flows.affine import Affine
from naqsh.networks.made import MADE


class Blocks(NamedTuple):
    """How many dimensions each block of a group has, and units of each hidden layer before it."""

    dimensions: list[int]
    units: list[list[int]]


def blocks(made: MADE) -> list[Blocks]:
    """The blocks of each group, in order: one begins at 0, one at each degree."""
    degrees = sorted({0}.union(*made.degrees))
    plan = []
    for start, stop in pairwise(made.starts):
        begins = degrees[bisect_left(degrees, start) : bisect_left(degrees, stop)]
        units = [
            [bisect_right(layer, begin) - bisect_left(layer, begin) for begin in begins]
            for layer in made.degrees
        ]
        plan.append(Blocks([b - a for a, b in pairwise([*begins, stop])], units))
    return plan


class Sweep:
    """A network's weights and the buffers of one inversion, features in rows.

    Args:
        made: the network.
        affine: the map whose parameters it gives.
        z: shape (D, N).

    Attributes:
        values: x, each hidden layer, and mu and a by turns; (features, N) each.
    """

    def __init__(self, made: MADE, affine: Affine, z: Tensor) -> None:
        self.affine, self.z, self.plan, self.starts = affine, z, blocks(made), made.starts
        self.activation = made.activation
        self.layers = [*made.hidden, made.output]
        self.weights = [layer.rectangles(layer.weight.detach()) for layer in self.layers]
        sizes = [made.features, *(layer.rows for layer in self.layers)]
        self.values = [z.new_empty(size, z.shape[1]) for size in sizes]

    def solve(self, extra: Tensor | None) -> Tensor:
        """Fill the values in degree order; returns x.

        Args:
            extra: what a context adds to the first layer, shape (N, units).
        """
        for layer, values in zip(self.layers, self.values[1:], strict=True):
            values.copy_(layer.bias.detach()[:, None].expand_as(values))
        if extra is not None:
            self.values[1].add_(extra.t())
        act = self.activation.in_place
        for number, (sizes, units) in enumerate(self.plan):
            x, *hidden, output = self._enter(number)
            (into, *between, out), z = self._corners(number), self._dimensions(self.z, number)
            pairs = output.view(len(x), 2, -1)
            rows = zip(
                x.split(sizes),
                z.split(sizes),
                pairs[:, 0].split(sizes),
                pairs[:, 1].split(sizes),
                output.split([2 * size for size in sizes]),
                out.split([2 * size for size in sizes]),
                into.split(sizes, dim=1),
                strict=True,
            )
            parts = [layer.split(count) for layer, count in zip(hidden, units, strict=True)]
            deeper = [w.split(count) for w, count in zip(between, units[1:], strict=True)]
            for block, (new, latent, shift, raw, both, out_rows, into_columns) in enumerate(rows):
                if units[0][block]:
                    act(parts[0][block])
                for level, weight in enumerate(deeper):
                    if units[level + 1][block]:
                        act(parts[level + 1][block].addmm_(weight[block], hidden[level]))
                both.addmm_(out_rows, hidden[-1])
                new.copy_(self.affine.inverse(latent, shift, raw))
                hidden[0].addmm_(into_columns, new)
        return self.values[0]

    def pull_back(self, to_x: Tensor, to_log_scale: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The gradients that follow from those of x and alpha, in reverse degree order.

        Args:
            to_x: gradient with respect to x, shape (D, N).
            to_log_scale: gradient with respect to alpha, shape (D, N).

        Returns:
            the gradient with respect to z, and to what each layer gives before its activation.
        """
        x, *hidden, output = self.values
        log_scale = self.affine.log_scale(output.view(len(x), 2, -1)[:, 1])
        scale, slope = log_scale.exp(), self.affine.log_scale_slope(log_scale)
        live = [self.activation.slope(layer) for layer in hidden]
        to_z = torch.empty_like(x)
        gradients = [to_x.clone(), *(torch.zeros_like(one) for one in hidden)]
        gradients.append(torch.empty_like(output))
        given = x, self.z, to_log_scale, scale, slope, to_z
        for number, (sizes, units) in reversed(list(enumerate(self.plan))):
            to_new, *to_hidden, to_output = self._rows(gradients, number)
            into, *between, out = self._corners(number)
            pairs = to_output.view(len(to_new), 2, -1)
            rows = zip(
                *(self._dimensions(one, number).split(sizes) for one in given),
                to_new.split(sizes),
                pairs.split(sizes),
                to_output.split([2 * size for size in sizes]),
                out.split([2 * size for size in sizes]),
                into.split(sizes, dim=1),
                strict=True,
            )
            parts = [layer.split(count) for layer, count in zip(to_hidden, units, strict=True)]
            alive = [
                one.split(count)
                for one, count in zip(self._rows([x, *live], number)[1:], units, strict=True)
            ]
            deeper = [w.split(count) for w, count in zip(between, units[1:], strict=True)]
            for block, row in reversed(list(enumerate(rows))):
                here, latent, to_alpha, factor, bend, to_latent, whole, pair, both, w, v = row
                whole.addmm_(v.t(), to_hidden[0])
                torch.mul(whole, factor, out=to_latent)
                to_shift, through = self.affine.pull_back(whole, to_latent, here, latent)
                pair[:, 0] = to_shift
                torch.mul(through + to_alpha, bend, out=pair[:, 1])
                to_hidden[-1].addmm_(w.t(), both)
                for level in reversed(range(len(parts))):
                    if units[level][block]:
                        mine = parts[level][block].mul_(alive[level][block])
                        if level:
                            to_hidden[level - 1].addmm_(deeper[level - 1][block].t(), mine)
            self._leave(number, gradients)
        return to_z, gradients[1:]

    def _dimensions(self, values: Tensor, number: int) -> Tensor:
        """The rows of a group's dimensions."""
        return values[self.starts[number] : self.starts[number + 1]]

    def _rows(self, values: list[Tensor], number: int) -> list[Tensor]:
        """A group's rows of values as `self.values` has them, or of the first few of those."""
        bounds = [(layer.groups[number].first, layer.groups[number].last) for layer in self.layers]
        rows = [one[first:last] for one, (first, last) in zip(values[1:], bounds, strict=False)]
        return [self._dimensions(values[0], number), *rows]

    def _corners(self, number: int) -> list[Tensor]:
        """A group's corner in each layer: how its rows see its columns."""
        starts = [layer.groups[number].start for layer in self.layers]
        return [w[number][:, start:] for w, start in zip(self.weights, starts, strict=True)]

    def _enter(self, number: int) -> list[Tensor]:
        """Add to a group's rows what all groups before it give; returns its rows."""
        rows = self._rows(self.values, number)
        for level, layer in enumerate(self.layers):
            if start := layer.groups[number].start:
                weight = self.weights[level][number][:, :start]
                rows[level + 1].addmm_(weight, self.values[level][:start])
        return rows

    def _leave(self, number: int, gradients: list[Tensor]) -> None:
        """Hand what a group's rows found to the columns that all of them see."""
        rows = self._rows(gradients, number)
        for level, layer in enumerate(self.layers):
            if start := layer.groups[number].start:
                weight = self.weights[level][number][:, :start]
                gradients[level][:start].addmm_(weight.t(), rows[level + 1])
