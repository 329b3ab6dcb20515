r"""Mean and covariance of features that arrive in batches, or on several ranks.

For two sets with counts :math:`n_a, n_b`, means :math:`\mu_a, \mu_b` and scatters
:math:`M = \sum_i (x_i - \mu)(x_i - \mu)^T`, the union has, with :math:`\delta = \mu_b - \mu_a`
and :math:`n = n_a + n_b`,

.. math:: \mu = \mu_a + \frac{n_b}{n} \delta, \qquad
          M = M_a + M_b + \frac{n_a n_b}{n} \delta \delta^T.

Nothing large is ever subtracted from anything large, which is what makes the textbook formula
:math:`E[x x^T] - \mu \mu^T` lose its digits where means are large beside deviations.

References:
    Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (Chan, Golub and
    LeVeque, 1979), Stanford STAN-CS-79-773, equations 1.5.
"""

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.metrics._arrays import Array, as_features


class Moments:
    """Count, mean and scatter of all features seen so far, in float64.

    Attributes:
        n: rows seen.
        mean: shape (d,).
        scatter: sum of outer products of deviations, shape (d, d).
    """

    def __init__(self, dimension: int) -> None:
        if dimension < 1:
            raise ValueError(f"need a dimension of at least 1, got {dimension}")
        self.n = 0
        self.mean = torch.zeros(dimension, dtype=torch.float64)
        self.scatter = torch.zeros(dimension, dimension, dtype=torch.float64)

    @classmethod
    def of(cls, features: Array) -> "Moments":
        """The moments of one table of features with shape (n, d)."""
        table = as_features(features, "features", at_least=1)
        moments = cls(table.shape[1])
        moments.update(table)
        return moments

    def update(self, features: Array) -> None:
        """Add a batch.

        Args:
            features: shape (n, d), of any floating-point type; sums are kept in float64.

        Raises:
            NaqshError: another number of columns, or numbers that are not finite.
        """
        table = as_features(features, "features", at_least=0)
        if table.shape[1] != len(self.mean):
            raise NaqshError(
                f"features have {table.shape[1]} columns, the moments so far {len(self.mean)}; "
                "take both from the same feature extractor"
            )
        if len(table) == 0:
            return
        table = table.to("cpu", torch.float64)
        mean = table.mean(dim=0)
        centred = table - mean
        self._add(len(table), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> None:
        """Add what another one has seen, as if its features had come here (another rank's, say).

        Raises:
            NaqshError: the other one is of another dimension.
        """
        if len(other.mean) != len(self.mean):
            raise NaqshError(
                f"moments of {len(other.mean)} and of {len(self.mean)} features cannot be merged; "
                "take both from the same feature extractor"
            )
        if other.n:
            self._add(other.n, other.mean, other.scatter)

    def _add(self, n: int, mean: Tensor, scatter: Tensor) -> None:
        total = self.n + n
        delta = mean - self.mean
        self.mean = self.mean + delta * (n / total)
        self.scatter = self.scatter + scatter + torch.outer(delta, delta) * (self.n * n / total)
        self.n = total

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance (divided by n - 1), shape (d, d).

        Raises:
            NaqshError: fewer than two rows were seen.
        """
        if self.n < 2:
            raise NaqshError(
                f"a covariance needs at least 2 images, got {self.n}; give more images"
            )
        return self.scatter / (self.n - 1)
