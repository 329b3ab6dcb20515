r"""What the two players of a GAN minimise, as functions of logits.

Both losses are Monte Carlo estimates over a batch. With logits :math:`d = D(x)`, :math:`\tilde d =
D(G(z))` and :math:`\zeta(u) = \log(1 + e^u)`, so that :math:`-\log \sigma(u) = \zeta(-u)`:

=============== ============================================ =======================
objective       critic minimises                             generator minimises
=============== ============================================ =======================
non-saturating  E zeta(-d) + E zeta(d~)                      E zeta(-d~)
minimax         E zeta(-d) + E zeta(d~)                      -E zeta(d~)
least-squares   E (d - 1)^2 / 2 + E d~^2 / 2                 E (d~ - 1)^2 / 2
hinge           E max(0, 1 - d) + E max(0, 1 + d~)           -E d~
wasserstein     E d~ - E d                                   -E d~
relativistic    E zeta(-(d - d~))                            E zeta(-(d~ - d))
=============== ============================================ =======================

The relativistic one compares each real image with one fake, by their places in the batch: a score
has no meaning of its own, and a generator that leaves out a mode is not at rest.

References:
    Generative Adversarial Networks (Goodfellow et al., 2014), arXiv:1406.2661, equation 1.
    Least Squares GANs (Mao et al., 2017), arXiv:1611.04076, equation 2 with a = 0, b = c = 1.
    Geometric GAN (Lim and Ye, 2017), arXiv:1705.02894, equation 22.
    Wasserstein GAN (Arjovsky et al., 2017), arXiv:1701.07875, algorithm 1.
    The relativistic discriminator (Jolicoeur-Martineau, 2018), arXiv:1807.00734, equations 4, 5.
    The GAN is dead; long live the GAN! (Huang et al., 2024), arXiv:2501.05441, equation 2.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


class Objective(NamedTuple):
    """One way to play the game.

    Attributes:
        critic: (real, fake), each with shape (N,), to the critic's scalar loss.
        generator: (real, fake), likewise, to the generator's; real is None unless it is `relative`.
        boundary: the logit that parts real from fake; None where scores have no zero of their own.
        relative: whether only differences of scores, real from fake, mean something; then the
            generator's loss looks at those of real images too.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    boundary: float | None
    relative: bool = False

    def told_apart(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """How well the critic tells real from fake, by a name that says what the number is.

        ``accuracy`` is the share of images on their side of the boundary, or of pairs of which the
        real one has the higher score; without a boundary, ``wasserstein`` is the distance by
        duality: the largest E D(x) - E D(G(z)) over 1-Lipschitz critics.
        """
        if self.relative:
            return {"accuracy": (real > fake).float().mean()}
        if self.boundary is None:
            return {"wasserstein": real.mean() - fake.mean()}
        right = torch.cat([real > self.boundary, fake < self.boundary])
        return {"accuracy": right.float().mean()}


ObjectiveName = Literal[
    "non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"
]


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(fake).mean()


def _pairs(ahead: Tensor, behind: Tensor) -> Tensor:
    return softplus(behind - ahead).mean()


def _pairs_turned(real: Tensor | None, fake: Tensor) -> Tensor:
    assert real is not None, "it is relative"
    return _pairs(fake, real)


OBJECTIVES: dict[ObjectiveName, Objective] = {
    "non-saturating": Objective(_cross_entropy, lambda _, fake: softplus(-fake).mean(), 0.0),
    "minimax": Objective(_cross_entropy, lambda _, fake: -softplus(fake).mean(), 0.0),
    "least-squares": Objective(
        lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
        lambda _, fake: (fake - 1).square().mean() / 2,
        0.5,
    ),
    "hinge": Objective(
        lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
        lambda _, fake: -fake.mean(),
        0.0,
    ),
    "wasserstein": Objective(
        lambda real, fake: fake.mean() - real.mean(), lambda _, fake: -fake.mean(), None
    ),
    "relativistic": Objective(_pairs, _pairs_turned, None, relative=True),
}
