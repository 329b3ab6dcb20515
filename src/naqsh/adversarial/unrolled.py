r"""Unrolled updates: the generator's loss against the critic that its images will have made.

The generator minimises :math:`L_G(\theta_G, \theta_D^k)` where the critic has taken k further steps
of its own optimiser on the same batch,

.. math:: \theta_D^{i+1} = \theta_D^i - U(\nabla_{\theta_D} L_D(\theta_G, \theta_D^i)), \qquad
   \theta_D^0 = \theta_D,

and its gradient passes through all of them: beside the partial derivative it has
:math:`\partial L_G / \partial \theta_D^k \cdot d\theta_D^k / d\theta_G`, a derivative of second
order. Steps that are taken by a copy and forgotten have the first term alone, and do not help.

U is the optimiser's own update, with its averages from where they are and moving on at each step.
Clipping of gradients (`training.clip_norm`) is none of it.

References:
    Unrolled Generative Adversarial Networks (Metz et al., 2017), arXiv:1611.02163, equations 6 to
    9 and 12.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from naqsh.core import ranks
from naqsh.core.optimizers import SGD, Adam, Optimizer, RMSprop

T = TypeVar("T")
Weights = dict[str, Tensor]
"""A network's parameters by their names."""

State = dict[str, Tensor]
"""What an optimiser remembers of one parameter, by the names that PyTorch gives it."""

_Moved = tuple[Tensor, State]

EPS = 1e-8
"""PyTorch's, in the denominators of Adam and RMSprop."""


def unrolled(
    network: nn.Module,
    loss: Callable[[], Tensor],
    steps: int,
    optimizer: Optimizer,
    live: torch.optim.Optimizer | None = None,
) -> Weights:
    """A network's parameters after further steps, as functions of all that the loss depends on.

    Nothing of the network or of its optimiser is changed.

    Args:
        network: whose parameters take the steps.
        loss: the network's loss on one batch, that of this rank; it is called once a step and calls
            the network.
        steps: how many.
        optimizer: how they are taken.
        live: the optimiser that trains the network, whose averages and learning rate they begin
            with; averages of 0 without it.
    """
    weights = {name: p.detach().requires_grad_() for name, p in network.named_parameters()}
    states = {name: _remembered(live, p) for name, p in network.named_parameters()}
    rate = optimizer.lr if live is None else float(live.param_groups[0]["lr"])
    for _ in range(steps):
        total = with_weights(network, weights, loss)
        gradients = torch.autograd.grad(
            total, list(weights.values()), create_graph=True, allow_unused=True
        )
        found = _over_ranks(dict(zip(weights, gradients, strict=True)))
        for name, gradient in found.items():
            weights[name], states[name] = _step(
                optimizer, rate, weights[name], gradient, states[name]
            )
    return weights


def with_weights(network: nn.Module, weights: Weights, work: Callable[[], T]) -> T:
    """What some work gives while a network has other parameters; their gradients pass."""

    class _Work(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self) -> T:
            return work()

    given = {f"network.{name}": value for name, value in weights.items()}
    result: T = functional_call(_Work(), given, ())
    return result


def _remembered(live: torch.optim.Optimizer | None, parameter: nn.Parameter) -> State:
    """What an optimiser remembers of a parameter: nothing before its first step."""
    kept = {} if live is None else live.state.get(parameter, {})
    return {name: value for name, value in kept.items() if isinstance(value, Tensor)}


def _over_ranks(gradients: dict[str, Tensor | None]) -> Weights:
    """The gradients that there are, averaged over the ranks, in one sum."""
    found = {name: value for name, value in gradients.items() if value is not None}
    if ranks.count() == 1:
        return found
    flat = ranks.total(torch.cat([value.flatten() for value in found.values()])) / ranks.count()
    parts = flat.split([value.numel() for value in found.values()])
    return {
        name: part.view_as(value) for (name, value), part in zip(found.items(), parts, strict=True)
    }


def _step(
    optimizer: Optimizer, rate: float, weight: Tensor, gradient: Tensor, state: State
) -> _Moved:
    """One parameter after one step of PyTorch's optimiser, and what is then remembered of it."""
    if isinstance(optimizer, SGD):
        return _sgd(optimizer, rate, weight, gradient, state)
    if isinstance(optimizer, RMSprop):
        return _rmsprop(optimizer, rate, weight, gradient, state)
    assert isinstance(optimizer, Adam), "refused when it was built"
    return _adam(optimizer, rate, weight, gradient, state)


def _sgd(of: SGD, rate: float, weight: Tensor, gradient: Tensor, state: State) -> _Moved:
    gradient = gradient + of.weight_decay * weight
    if not of.momentum:
        return weight - rate * gradient, {}
    last = state.get("momentum_buffer")
    kept = gradient if last is None else of.momentum * last + gradient
    return weight - rate * (gradient + of.momentum * kept), {"momentum_buffer": kept}


def _rmsprop(of: RMSprop, rate: float, weight: Tensor, gradient: Tensor, state: State) -> _Moved:
    square = state.get("square_avg", torch.zeros_like(weight))
    square = of.alpha * square + (1 - of.alpha) * gradient.square()
    return weight - rate * gradient / (_root(square) + EPS), {"square_avg": square}


def _adam(of: Adam, rate: float, weight: Tensor, gradient: Tensor, state: State) -> _Moved:
    (first, second), none = of.betas, torch.zeros_like(weight)
    taken = state.get("step", weight.new_zeros(())) + 1
    mean = first * state.get("exp_avg", none) + (1 - first) * gradient
    square = second * state.get("exp_avg_sq", none) + (1 - second) * gradient.square()
    denominator = _root(square) / _missing(second, taken).sqrt() + EPS
    weight = weight * (1 - rate * of.weight_decay)
    weight = weight - rate / _missing(first, taken) * mean / denominator
    return weight, {"step": taken, "exp_avg": mean, "exp_avg_sq": square}


def _missing(beta: float, taken: Tensor) -> Tensor:
    """1 - beta^t, what an average of t numbers lacks, without float32's cancellation."""
    if not beta:
        return torch.ones_like(taken)
    return -torch.expm1(taken * math.log(beta))


def _root(square: Tensor) -> Tensor:
    """The square root, with gradient 0 at 0: that of a weight which no image reaches."""
    reached = square > 0
    return torch.where(reached, torch.where(reached, square, 1).sqrt(), 0)
