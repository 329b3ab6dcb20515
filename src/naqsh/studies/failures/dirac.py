r"""The smallest game in which a GAN goes in circles, and what brings it to rest.

All real points are 0, the generator makes one point :math:`\theta`, the discriminator is
:math:`D(x) = \psi x`: the Dirac-GAN. Its equilibrium is (0, 0). With the loss's slope f'(0) there,
1/2 for cross-entropy and 1 for Wasserstein, the gradient field has the eigenvalues

.. math:: -\frac \gamma 2 \pm \sqrt{\frac{\gamma^2}{4} - f'(0)^2}

where :math:`\gamma / 2\, E \lVert \nabla D \rVert^2` is the penalty R1. Without it they are
imaginary: gradient flow circles for ever, and steps of size h grow by :math:`\sqrt{1 + h^2
f'(0)^2}` each. Any penalty above 0 gives them a negative real part.

References:
    Which Training Methods for GANs do actually Converge? (Mescheder et al., 2018),
    arXiv:1801.04406, sections 2 and 4.
"""

import cmath
from collections.abc import Callable

import torch
from torch import Tensor

from naqsh.adversarial.objectives import OBJECTIVES, ObjectiveName
from naqsh.runs.records import Circle

STEP, STEPS, KEPT = 0.2, 500, 250
"""Size of a step, their number, and how many points of the path are kept."""

START = (1.0, 1.0)

GAMMA = 0.3
"""Of R1: the path turns a few times before it is at rest."""

GAMES: dict[str, tuple[ObjectiveName, float, float]] = {
    "minimax": ("minimax", 0.0, 0.5),
    "non-saturating": ("non-saturating", 0.0, 0.5),
    "wasserstein": ("wasserstein", 0.0, 1.0),
    "r1": ("non-saturating", GAMMA, 0.5),
}
"""Of each game the objective, R1's gamma and f'(0)."""


def play(name: str) -> Circle:
    """One of :data:`GAMES` from :data:`START`, both players moving at once."""
    objective, gamma, slope = GAMES[name]
    field = _field(objective, gamma)
    point = torch.tensor(START, dtype=torch.float64)
    path = [point]
    for _ in range(STEPS):
        point = point + STEP * field(point)
        path.append(point)
    grown = float(path[-1].norm() / path[0].norm()) ** (1 / STEPS)
    at_rest = torch.func.jacrev(field)(torch.zeros(2, dtype=torch.float64))
    computed = [complex(value) for value in torch.linalg.eigvals(at_rest).tolist()]
    root = cmath.sqrt(gamma**2 / 4 - slope**2)
    kept = torch.stack(path)[:: STEPS // KEPT].tolist()
    return Circle(
        name,
        tuple((float(x), float(y)) for x, y in kept),
        grown,
        _parts(computed),
        _parts([-gamma / 2 + root, -gamma / 2 - root]),
    )


def _parts(values: list[complex]) -> tuple[tuple[float, float], ...]:
    ordered = sorted(values, key=lambda value: (value.real, value.imag))
    return tuple((value.real, value.imag) for value in ordered)


def _field(objective: ObjectiveName, gamma: float) -> Callable[[Tensor], Tensor]:
    """Where both players' gradients lead from (theta, psi)."""
    losses = OBJECTIVES[objective]

    def critic(psi: Tensor, theta: Tensor) -> Tensor:
        real, fake = (psi * point.reshape(1) for point in (torch.zeros_like(theta), theta))
        return losses.critic(real, fake) + gamma / 2 * psi.square()  # the gradient of D is psi

    def generator(theta: Tensor, psi: Tensor) -> Tensor:
        return losses.generator(None, psi * theta.reshape(1))

    def field(point: Tensor) -> Tensor:
        theta, psi = point
        towards = torch.func.grad(generator)(theta, psi), torch.func.grad(critic)(psi, theta)
        return -torch.stack(towards)

    return field
