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
=============== ============================================ =======================

References:
    Generative Adversarial Networks (Goodfellow et al., 2014), arXiv:1406.2661, equation 1.
    Least Squares GANs (Mao et al., 2017), arXiv:1611.04076, equation 2 with a = 0, b = c = 1.
    Geometric GAN (Lim and Ye, 2017), arXiv:1705.02894, equation 22.
    Wasserstein GAN (Arjovsky et al., 2017), arXiv:1701.07875, algorithm 1.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


class Objective(NamedTuple):
    """One way to play the game.

    Attributes:
        critic: (real, fake), each with shape (N,), to the critic's scalar loss.
        generator: (real, fake), likewise, to the generator's; real is None unless it is `relative`.
        boundary: the logit that parts real from fake; None where scores have no zero of their own.
        relative: whether the generator's loss looks at the logits of real images too.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    boundary: float | None
    relative: bool = False


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(fake).mean()


OBJECTIVES = {
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
}
