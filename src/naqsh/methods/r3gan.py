r"""R3GAN: a GAN without tricks, whose loss alone makes it converge.

The relativistic loss compares each real image with a generated one, and gradient penalties on both
bring the players to rest (:mod:`naqsh.adversarial.objectives`, :mod:`naqsh.adversarial.penalties`):

.. math::
   L_D &= E\,\zeta\bigl(-(D(x) - D(G(z)))\bigr) + \gamma\,(R_1 + R_2) \\
   L_G &= E\,\zeta\bigl(-(D(G(z)) - D(x))\bigr)

With that loss the networks may be plain residual ones without any normalisation
(:mod:`naqsh.networks.r3gan`). It is the GAN of :mod:`naqsh.methods.gan` with these networks and
hyperparameters; its other switches are there too.

The published :math:`\gamma` for 32x32 images is 0.05 with batches of 512, and falls to a tenth over
the run; penalties are to grow as batches shrink, which have more noise. Here it is constant.

References:
    The GAN is dead; long live the GAN! A Modern GAN Baseline (Huang et al., 2024),
    arXiv:2501.05441, equations 2 to 5.
"""

from dataclasses import dataclass, replace
from typing import Self

from torch import nn

from naqsh.adversarial.objectives import ObjectiveName
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Shape
from naqsh.methods import gan
from naqsh.networks import r3gan


@dataclass(frozen=True)
class Spec(gan.Spec):
    """Hyperparameters of an R3GAN: those of a GAN, and how deep its networks are.

    Attributes:
        width: channels at half the side of the images, a multiple of 8; twice as many at a quarter.
        blocks: residual blocks at each of the two sides.
    """

    objective: ObjectiveName = "relativistic"
    latent: int = 64
    width: int = 24
    generator: Optimizer = Adam(lr=5e-4, betas=(0.0, 0.99))
    critic: Optimizer = Adam(lr=5e-4, betas=(0.0, 0.99))
    r1: float = 0.2
    r2: float = 0.2
    blocks: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {self.blocks}")
        if self.width % 8:
            raise ValueError(f"width must be a multiple of 8, got {self.width}")

    def tiny(self) -> Self:
        """The same with narrow networks, for tests and quick looks."""
        return replace(self, width=16)

    def networks(self, shape: Shape, classes: int = 0) -> tuple[nn.Module, nn.Module]:
        """The residual networks."""
        made = r3gan.generator(shape, self.latent, self.width, self.blocks, classes)
        return made, r3gan.discriminator(shape, self.width, self.blocks)
