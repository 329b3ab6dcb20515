"""The exponential moving average of a method's weights, which sampling uses where a recipe asks."""

import copy

import torch
from torch import Tensor

from naqsh.core.method import Method


class Average:
    """A second copy of a method that follows its weights slowly.

    The decay rises from 0.1 to `decay` as min(decay, (1 + t) / (10 + t)) with the step t, so that
    the random first weights are soon forgotten.
    """

    def __init__(self, method: Method, decay: float) -> None:
        self.decay = decay
        self.method = copy.deepcopy(method).eval().requires_grad_(False)
        pairs = zip(self.method.parameters(), method.parameters(), strict=True)
        own = [(mine, source) for mine, source in pairs if mine is not source]  # not the frozen
        self._weights: list[Tensor] = [mine for mine, _ in own]
        self._sources = [source for _, source in own]
        buffers = zip(self.method.buffers(), method.buffers(), strict=True)
        self._buffers = [(mine, source) for mine, source in buffers if mine is not source]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights after `step` (from 0); buffers are copied."""
        decay = min(self.decay, (1 + step) / (10 + step))
        sources = [source.detach() for source in self._sources]
        torch._foreach_lerp_(self._weights, sources, 1 - decay)
        for mine, source in self._buffers:
            mine.copy_(source)
