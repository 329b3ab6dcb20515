r"""Densities of transformed random numbers, in closed form and by automatic differentiation.

For a strictly monotone map :math:`X = g(Z)`,

.. math:: p_X(x) = p_Z(g^{-1}(x)) \left|\frac{d g^{-1}}{dx}(x)\right|,

and 0 where no z gives x. Two such densities by hand, which every flow is more of:

* :math:`X = 2Z + 1`, :math:`Z \sim U(0, 1)`: :math:`g^{-1}(x) = (x - 1)/2` has slope 1/2, hence
  :math:`p_X(x) = 1/2` on (1, 3).
* :math:`X = e^Z`, :math:`Z \sim U(0, 2)`: :math:`g^{-1}(x) = \ln x` has slope 1/x and p_Z is 1/2,
  hence :math:`p_X(x) = 1 / (2x)` on :math:`(1, e^2)`.

In several dimensions the slope becomes the Jacobian's determinant; :func:`log_abs_det_jacobian`
takes it from the full matrix, which is slow and right for any map: what layers are tested against.

References:
    Normalizing Flows for Probabilistic Modeling and Inference (Papamakarios et al., 2021),
    arXiv:1912.02762, equations 2 to 4.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def transformed(density: Map, inverse: Map, slope: Map) -> Map:
    """The density of X = g(Z) for a strictly monotone g.

    Args:
        density: that of Z at values with any shape; 0 outside its support, also for NaN, which an
            inverse gives where it is not defined.
        inverse: g backwards.
        slope: the derivative of `inverse`; its sign does not matter.

    Returns:
        the density of X at values with any shape.
    """

    def density_of_x(x: Tensor) -> Tensor:
        base = density(inverse(x))
        # Where no z gives x, a slope may be infinite; 0 times infinity is no density.
        return torch.where(base > 0, base * slope(x).abs(), 0.0)

    return density_of_x


def uniform(low: float, high: float) -> Map:
    """The density of U(low, high)."""
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    return lambda z: torch.where((z > low) & (z < high), torch.ones_like(z) / (high - low), 0.0)


def affine_of_uniform(x: Tensor) -> Tensor:
    """The density of X = 2Z + 1 with Z ~ U(0, 1): 1/2 on (1, 3); shape of `x`."""
    return transformed(uniform(0, 1), lambda x: (x - 1) / 2, lambda x: torch.full_like(x, 1 / 2))(x)


def exponential_of_uniform(x: Tensor) -> Tensor:
    """The density of X = exp Z with Z ~ U(0, 2): 1 / (2x) on (1, e^2); shape of `x`."""
    return transformed(uniform(0, 2), torch.log, torch.reciprocal)(x)


AFFINE_SUPPORT = (1.0, 3.0)
EXPONENTIAL_SUPPORT = (1.0, math.exp(2.0))


def log_abs_det_jacobian(function: Map, x: Tensor) -> Tensor:
    r""":math:`\log |\det \partial f / \partial x|` of each vector, by D passes of autograd.

    Args:
        function: vectors (N, D) to vectors (N, D), each row by itself.
        x: where, shape (N, D).

    Returns:
        shape (N,); minus infinity where the map is flat.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        y = function(x)
        # Rows do not see one another, so the sum over them hides nothing.
        columns = [
            torch.autograd.grad(y[:, j].sum(), x, retain_graph=True, materialize_grads=True)[0]
            for j in range(y.shape[1])
        ]
    logarithms: Tensor = torch.linalg.slogdet(torch.stack(columns, dim=1)).logabsdet
    return logarithms
