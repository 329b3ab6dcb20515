r"""pix2pix: images of domain A into those of domain B, learnt from pairs.

A U-Net G draws b from a; a discriminator D scores patches of the pair (a, b). With logits d on
true pairs, :math:`\tilde d` on pairs with :math:`G(a)`, and :math:`\zeta(u) = \log(1 + e^u)`:

.. math::
   L_G = E\, \zeta(-\tilde d) + \lambda\, E\, |G(a) - b|, \qquad
   L_D = \tfrac12 \bigl(E\, \zeta(-d) + E\, \zeta(\tilde d)\bigr)

L1 asks for the median of all b that suit a, which is blurred; D asks for one that could be true.

Dropout in G is its only chance, at test as in training: a translation is made with one draw of it,
the same for every image. Published networks have batch normalisation with the statistics of the
batch at test, too, and batches of one image; here each image is normalised by itself, which is the
same for one. Published code updates D first; here G is, and the image that it made is shown to D:
the same alternation begun by the other player, with one pass of G a step instead of two.

References:
    Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017),
    arXiv:1611.07004, equations 1 to 4, sections 3.1 to 3.3.
"""

from dataclasses import dataclass, replace
from math import gcd
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, softplus

from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise, derive
from naqsh.core.once import OnceAStep
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.networks import patchgan
from naqsh.networks.pix2pix_unet import Generator

MOST = 8
"""Halvings of the published network."""

PAIRS = "a folder with A and B whose files have equal names"


@dataclass(frozen=True)
class Spec(MethodSpec):
    """Hyperparameters of pix2pix.

    Attributes:
        width: channels of the generator's finest features.
        downs: how often the generator halves an image; None as often as its sides allow, at most 8.
        dropout: part of the numbers that are dropped in the generator.
        critic_width: channels of the discriminator's first layer.
        strides: convolutions of stride 2 in the discriminator, and with it the size of its patches;
            None takes what suits the images.
        l1: lambda, the weight of the distance to the partner.
        generator: the generator's optimiser.
        critic: the discriminator's optimiser.
    """

    width: int = 64
    downs: int | None = None
    dropout: float = 0.5
    critic_width: int = 64
    strides: int | None = None
    l1: float = 100.0
    generator: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))
    critic: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))

    def __post_init__(self) -> None:
        if min(self.width, self.critic_width) < 1:
            raise ValueError("width and critic_width must be at least 1")
        if self.downs is not None and not 2 <= self.downs <= 12:
            raise ValueError(f"downs must be 2 to 12, got {self.downs}")
        if self.strides is not None and self.strides < 1:
            raise ValueError(f"strides must be at least 1, got {self.strides}")
        if not 0 <= self.dropout < 1 or self.l1 < 0:
            raise ValueError("need 0 <= dropout < 1 and l1 >= 0")

    def tiny(self) -> Self:
        """The same with narrow networks, for tests and quick looks."""
        return replace(self, width=4, critic_width=4)

    def build(self, layout: Layout) -> "Pix2Pix":
        """The method with fresh networks; labels are not used.

        Raises:
            ValueError: there is no second domain, its images have other sides, or the sides do not
                suit the networks.
        """
        if layout.second is None:
            raise ValueError(f"it needs a second domain: {PAIRS}")
        if not layout.paired:
            raise ValueError(f"the two domains are not of pairs: it needs {PAIRS}")
        sides = layout.shape[1:]
        if sides != layout.second[1:]:
            raise ValueError(
                f"domain A has images of {sides[0]}x{sides[1]}, B of {layout.second[1]}x"
                f"{layout.second[2]}; give data.size"
            )
        whole = gcd(*sides)
        most = (whole & -whole).bit_length() - 1  # the power of 2 in both sides
        downs = min(most, MOST) if self.downs is None else self.downs
        if downs > most or downs < 2:
            raise ValueError(
                f"sides must divide by {2 ** max(2, downs)}, got {sides[0]}x{sides[1]}; give "
                "data.size, e.g. 64"
            )
        return Pix2Pix(self, layout.shape, layout.second, downs)


class Pix2Pix(Method):
    """A generator and a discriminator of pairs, trained in two phases."""

    directions = ("B",)

    def __init__(self, spec: Spec, first: Shape, second: Shape, downs: int) -> None:
        super().__init__(first)
        self.spec = spec
        self.multiple = self.least = 2**downs
        self.generator = Generator(first[0], second[0], spec.width, downs, spec.dropout)
        pair = (first[0] + second[0], *first[1:])
        self.critic = patchgan.discriminator(pair, spec.critic_width, spec.strides, affine=True)
        self._fakes = OnceAStep()

    def phases(self) -> list[Phase]:
        """The generator, then the discriminator."""
        return [
            Phase("generator", [self.generator], self.generator_losses, self.spec.generator),
            Phase("critic", [self.critic], self.critic_losses, self.spec.critic),
        ]

    def generator_losses(self, batch: Batch, step: int) -> Losses:
        """The generator's: to pass for a true pair, and to be near the partner."""
        fake = self._translated(batch.images, batch.noise)
        self._fakes.keep(batch, step, fake)
        fooled = softplus(-self._scores(batch.images, fake)).mean()
        distance = l1_loss(fake, self._partner(batch))
        return {"total": fooled + self.spec.l1 * distance, "to_b": fooled, "distance": distance}

    def critic_losses(self, batch: Batch, step: int) -> Losses:
        """The discriminator's, on true pairs and on those of this step's fakes."""
        kept = self._fakes.take(batch, step)
        if kept is None:  # the phase by itself, as tests run it
            with torch.no_grad():
                kept = (self._translated(batch.images, batch.noise),)
        both = torch.cat([self._partner(batch), kept[0]])
        real, fake = self._scores(batch.images.repeat(2, 1, 1, 1), both).chunk(2)
        return {
            "total": (softplus(-real).mean() + softplus(fake).mean()) / 2,
            "real": real.mean(),
            "fake": fake.mean(),
            "accuracy": torch.cat([real > 0, fake < 0]).float().mean(),
        }

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Images of domain A as images of domain B, the only one there is: float32 in [0, 1]."""
        chance = Noise(derive(0, "dropout"), 1, device=images.device)
        return _shown(self._translated(images, chance))

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """Three rows: images, their translation, and their partners."""
        rows = [
            _shown(batch.images),
            self.translate(batch.images, "B"),
            _shown(self._partner(batch)),
        ]
        most = max(row.shape[1] for row in rows)
        sheet = torch.cat([row.expand(-1, most, -1, -1) for row in rows])
        return {"pairs": (sheet, len(batch))}

    def _translated(self, images: Tensor, noise: Noise) -> Tensor:
        translated: Tensor = self.generator(images, noise).float()
        return translated

    @staticmethod
    def _partner(batch: Batch) -> Tensor:
        assert batch.second is not None
        return batch.second

    def _scores(self, first: Tensor, second: Tensor) -> Tensor:
        scores: Tensor = self.critic(torch.cat([first, second], 1)).float()
        return scores


def _shown(images: Tensor) -> Tensor:
    return images.add(1).div(2).clamp(0, 1)
