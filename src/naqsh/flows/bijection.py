r"""What every layer of a flow is: a map that can be undone, with its log-determinant.

If :math:`z = f(x)` and z has density :math:`p_Z`, then

.. math:: \log p_X(x) = \log p_Z(f(x)) + \log \left|\det \frac{\partial f}{\partial x}\right|.

The Jacobian of every layer here is triangular in some order of the dimensions, so its determinant
is a product with one factor for each of them. Layers give the logarithms of these factors apart:
their sum is the log-determinant, and each says which pixel it came from.

References:
    Normalizing Flows for Probabilistic Modeling and Inference (Papamakarios et al., 2021),
    arXiv:1912.02762, equations 3 to 5.
"""

from abc import abstractmethod

from torch import Tensor, nn


class Bijection(nn.Module):
    """A differentiable map of vectors with D numbers that can be undone."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""Towards the base density.

        Args:
            x: shape (N, D).

        Returns:
            z with shape (N, D), and the logarithms of the D factors of
            :math:`|\det \partial z / \partial x|` with shape (N, D).
        """

    @abstractmethod
    def inverse(self, z: Tensor) -> Tensor:
        """Away from the base density: the x with ``forward(x)[0] == z``, shape (N, D)."""
