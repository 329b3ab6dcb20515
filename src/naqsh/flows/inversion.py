r"""Undoing an autoregressive map in degree order: about the arithmetic of one forward pass.

To find x with :math:`z_i = (x_i - \mu_i(x_{<i}))\, e^{-\alpha_i(x_{<i})}` one dimension after the
other takes D passes of the network when each starts anew. But a hidden unit of degree m is final
once :math:`x_0, \dots, x_{m-1}` are known, and so are the parameters of all dimensions from m up to
the next degree. So every unit and every output is computed once, and dimensions between two degrees
come in one block.

Rows go by the groups of :mod:`naqsh.networks.staircase`: what a group needs of the groups before it
is one matrix product; only the corners are left for the blocks, one after the other. Features lie
in rows here, pictures in columns, so that a block is contiguous.

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
from naqsh.networks.staircase import Group


class Block(NamedTuple):
    """Dimensions [first, last), and of each hidden layer the units [first, last) they wait for."""

    first: int
    last: int
    units: list[tuple[int, int]]


def blocks(made: MADE) -> list[list[Block]]:
    """The blocks of each group, in order: one begins at 0, one at each degree."""
    degrees = sorted({0}.union(*made.degrees))

    def block(first: int, last: int) -> Block:
        units = [(bisect_left(layer, first), bisect_right(layer, first)) for layer in made.degrees]
        return Block(first, last, units)

    plan = []
    for start, stop in pairwise(made.starts):
        inside = degrees[bisect_left(degrees, start) : bisect_left(degrees, stop)]
        plan.append([block(first, last) for first, last in pairwise([*inside, stop])])
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
        self.affine, self.z, self.plan = affine, z, blocks(made)
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
        x, *hidden, output = self.values
        pairs = output.view(len(x), 2, -1)
        for number, group in enumerate(self.plan):
            bounds, corners = self._enter(number)
            for first, last, units in group:
                begin, end = units[0]
                if begin < end:
                    hidden[0][begin:end].relu_()
                for level in range(1, len(hidden)):
                    known, (begin, end) = units[level - 1][1], units[level]
                    if begin < end:
                        row, _, column, _ = bounds[level]
                        seen = corners[level][begin - row : end - row, : known - column]
                        new = hidden[level][begin:end]
                        new.addmm_(seen, hidden[level - 1][column:known]).relu_()
                row, _, column, _ = bounds[-1]
                known = units[-1][1]
                if column < known:
                    seen = corners[-1][2 * first - row : 2 * last - row, : known - column]
                    output[2 * first : 2 * last].addmm_(seen, hidden[-1][column:known])
                shift, raw = pairs[first:last].unbind(1)
                new = self.affine.inverse(self.z[first:last], shift, raw)
                x[first:last] = new
                row, stop, column, _ = bounds[0]
                if units[0][1] < stop:
                    waiting = corners[0][units[0][1] - row :, first - column : last - column]
                    hidden[0][units[0][1] : stop].addmm_(waiting, new)
        return x

    def _enter(self, number: int) -> tuple[list[Group], list[Tensor]]:
        """Add to a group's rows what all groups before it give; its bounds and its corners."""
        bounds = [layer.groups[number] for layer in self.layers]
        corners = []
        for level, (first, last, start, _) in enumerate(bounds):
            weight = self.weights[level][number]
            if start:
                here, below = self.values[level + 1], self.values[level]
                here[first:last].addmm_(weight[:, :start], below[:start])
            corners.append(weight[:, start:])
        return bounds, corners

    def pull_back(self, to_x: Tensor, to_log_scale: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The gradients that follow from those of x and alpha, in reverse degree order.

        Args:
            to_x: gradient with respect to x, shape (D, N).
            to_log_scale: gradient with respect to alpha, shape (D, N).

        Returns:
            the gradient with respect to z, and to what each layer gives before its ReLU.
        """
        x, *hidden, output = self.values
        log_scale = self.affine.log_scale(output.view(len(x), 2, -1)[:, 1])
        scale, slope = log_scale.exp(), self.affine.log_scale_slope(log_scale)
        to_z = torch.empty_like(x)
        whole, to_hidden = to_x.clone(), [torch.zeros_like(one) for one in hidden]
        to_output = torch.empty_like(output)
        gradients = [whole, *to_hidden, to_output]
        pairs = to_output.view(len(x), 2, -1)
        for number in reversed(range(len(self.plan))):
            bounds = [layer.groups[number] for layer in self.layers]
            corners = [w[number][:, b.start :] for w, b in zip(self.weights, bounds, strict=True)]
            for first, last, units in reversed(self.plan[number]):
                row, stop, column, _ = bounds[0]
                if units[0][1] < stop:
                    waiting = corners[0][units[0][1] - row :, first - column : last - column]
                    whole[first:last].addmm_(waiting.t(), to_hidden[0][units[0][1] : stop])
                here = slice(first, last)
                torch.mul(whole[here], scale[here], out=to_z[here])
                through = self.affine.pull_back(whole[here], to_z[here], x[here], self.z[here])
                pairs[here, 0] = through[0]
                torch.mul(through[1] + to_log_scale[here], slope[here], out=pairs[here, 1])
                row, _, column, _ = bounds[-1]
                known = units[-1][1]
                if column < known:
                    seen = corners[-1][2 * first - row : 2 * last - row, : known - column]
                    to_hidden[-1][column:known].addmm_(seen.t(), to_output[2 * first : 2 * last])
                for level in reversed(range(len(hidden))):
                    begin, end = units[level]
                    if begin == end:
                        continue
                    mine = to_hidden[level][begin:end]
                    mine.mul_(hidden[level][begin:end] > 0)
                    row, _, column, _ = bounds[level]
                    if level and column < units[level - 1][1]:
                        known = units[level - 1][1]
                        seen = corners[level][begin - row : end - row, : known - column]
                        to_hidden[level - 1][column:known].addmm_(seen.t(), mine)
            self._leave(number, gradients)
        return to_z, gradients[1:]

    def _leave(self, number: int, gradients: list[Tensor]) -> None:
        """Hand what a group's rows found to the columns that all of them see."""
        for level, layer in enumerate(self.layers):
            first, last, start, _ = layer.groups[number]
            if start:
                weight = self.weights[level][number][:, :start]
                gradients[level][:start].addmm_(weight.t(), gradients[level + 1][first:last])
