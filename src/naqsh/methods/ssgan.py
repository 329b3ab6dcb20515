r"""SSGAN: a GAN whose discriminator also says by which angle an image was turned.

A discriminator learns from images that change as the generator does, and forgets what it needed
before. A task that stays the same keeps its features: beside the score D(x) it gives a distribution
Q over r in {0, 90, 180, 270} degrees of the image :math:`x^r`, turned by r. With a GAN's objective
:math:`L_D, L_G` (:mod:`naqsh.methods.gan`):

.. math::
   L_D &+ \beta\, E_{x,\,r}\,[-\log Q(r \mid x^r)] \\
   L_G &+ \alpha\, E_{z,\,r}\,[-\log Q(r \mid G(z)^r)]

The discriminator learns angles from real images alone and the generator is asked for images whose
angle can be seen: on this task the two work together. The score is taken of upright images alone,
and of the turned ones nothing reaches it: with both weights 0 this is the plain GAN to the bit.

Every image of a batch is turned once, by its place in the batch: a quarter of them by each angle,
whatever the ranks or parts that share it. (The paper turns a quarter of the images by all four
angles: as many turned images with the same expectation, of fewer originals.)

Some images look alike turned: digits 0, 1 and 8 by half a turn, and a 6 is a 9. So the accuracy on
angles has a ceiling below 1. With `ceiling` it is measured: a classifier of the critic's network is
trained beside it on the angles alone, by as many updates on the same images, and on held-out images
(``training.validation``) both are asked for all four angles of each.

References:
    Self-Supervised GANs via Auxiliary Rotation Loss (Chen et al., 2019), arXiv:1811.11212,
    equations 2 and 3, section 3.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from naqsh.adversarial.objectives import ObjectiveName
from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Phase
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, Shape
from naqsh.methods import gan
from naqsh.networks import sngan
from naqsh.networks.spectral import normalise


@dataclass(frozen=True)
class Spec(gan.Spec):
    """Hyperparameters of an SSGAN: those of a GAN, and the weights of both rotation losses.

    Attributes:
        objective: what the two players minimise.
        latent: size of z.
        width: channels of the discriminator; the generator has twice as many.
        n_critic: critic updates, each on a fresh batch, to one of the generator.
        clip: the critic's weights are clipped to [-clip, clip] after each update.
        gradient_penalty: lambda of the penalty; 0 leaves it out.
        spectral_norm: divide each of the critic's weights by its largest singular value.
        generator: the generator's optimiser.
        critic: the critic's optimiser.
        augment: what changes both players' images before they are scored; angles are told without.
        alpha: weight of the rotation loss on generated images, for the generator.
        beta: weight of the rotation loss on real images, for the critic.
        ceiling: train beside it a classifier of angles alone, to see how many can be told at all.
    """

    objective: ObjectiveName = "hinge"
    latent: int = 128
    width: int = 128
    n_critic: int = 2
    spectral_norm: bool = True
    generator: Optimizer = Adam(lr=2e-4, betas=(0.0, 0.9))
    critic: Optimizer = Adam(lr=2e-4, betas=(0.0, 0.9))
    alpha: float = 0.2
    beta: float = 1.0
    ceiling: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.alpha, self.beta) < 0:
            raise ValueError("alpha and beta must be at least 0")
        if self.packing > 1:
            raise ValueError("images are turned one by one and not in packs; leave packing out")

    def tiny(self) -> Self:
        """The same with narrow networks, for tests and quick looks."""
        return replace(self, width=16)

    def networks(self, shape: Shape, classes: int = 0) -> tuple[nn.Module, nn.Module]:
        """The residual generator, and the discriminator with two heads."""
        made = sngan.generator(shape, self.latent, 2 * self.width, classes)
        return made, sngan.Discriminator(shape, self.width)

    def build(self, layout: Layout) -> "SSGAN":
        """The method with fresh networks; labels are used where it is conditional.

        Raises:
            ValueError: images are not square, so that a quarter turn would change their shape, are
                points, or have no labels and it is conditional.
        """
        _, height, width = layout.shape
        if layout.extent:
            raise ValueError("images are turned, and one pixel looks alike from all sides")
        if height != width:
            raise ValueError(
                f"images are turned and must be square, got {height}x{width}; give data.size, "
                "e.g. 32"
            )
        return SSGAN(self, layout.shape, self.classes(layout))


class SSGAN(gan.GAN):
    """A GAN with the rotation loss in both phases."""

    spec: Spec
    critic: sngan.Discriminator

    def __init__(self, spec: Spec, shape: Shape, classes: int = 0) -> None:
        super().__init__(spec, shape, classes)
        self.classifier = sngan.Angles(shape, spec.width) if spec.ceiling else None
        if self.classifier is not None and spec.spectral_norm:
            normalise(self.classifier)

    def phases(self) -> list[Phase]:
        """The GAN's, and that of the classifier which shows the ceiling."""
        if self.classifier is None:
            return super().phases()
        of = [self.classifier], self.ceiling_losses, self.spec.critic
        return [*super().phases(), Phase("ceiling", *of, repeats=self.spec.n_critic)]

    def judging(self, fakes: Tensor, batch: Batch) -> Losses:
        """The GAN's loss, then the cross-entropy of the angles of real images."""
        losses = super().judging(fakes, batch)
        if self.spec.beta:
            losses["rotation"], right = _told(self.critic, *turned(batch.images, batch.noise.first))
            losses["rotation_accuracy"] = right
            losses["total"] = losses["total"] + self.spec.beta * losses["rotation"]
        return losses

    def passing(self, images: Tensor, batch: Batch, step: int) -> Losses:
        """The GAN's loss of generated images, then the cross-entropy of their angles."""
        losses = super().passing(images, batch, step)
        if self.spec.alpha:
            losses["rotation"], _ = _told(self.critic, *turned(images, batch.noise.first))
            losses["total"] = losses["total"] + self.spec.alpha * losses["rotation"]
        return losses

    def ceiling_losses(self, batch: Batch, step: int) -> Losses:
        """The cross-entropy of the classifier's angles of real images."""
        assert self.classifier is not None
        total, right = _told(self.classifier, *turned(batch.images, batch.noise.first))
        return {"total": total, "rotation_ceiling": right}

    def validation(self, batch: Batch) -> Losses:
        """How well all four angles of each image are told; no weights are best by that."""
        images = torch.cat([torch.rot90(batch.images, k, (2, 3)) for k in range(sngan.TURNS)])
        angles = torch.arange(sngan.TURNS, device=images.device).repeat_interleave(len(batch))
        rotation, right = _told(self.critic, images, angles)
        losses = {"rotation": rotation, "rotation_accuracy": right}
        if self.classifier is not None:
            losses["rotation_ceiling"] = _told(self.classifier, images, angles)[1]
        return losses


def _told(network: sngan.Angles, images: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of the angles of turned images, and the share that is told rightly."""
    logits = network.turns(images).float()
    return cross_entropy(logits, angles), (logits.argmax(1) == angles).float().mean()


def turned(images: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
    """Each image turned to the left by a quarter turn more than the one before it.

    Args:
        images: square images with shape (N, C, S, S).
        first: the place of the first of them in its batch; one at a multiple of 4 stays upright.

    Returns:
        the images, and by how many quarter turns each was turned, int64 with shape (N,).
    """
    angles = torch.arange(first, first + len(images), device=images.device) % sngan.TURNS
    every = torch.stack([torch.rot90(images, k, (2, 3)) for k in range(sngan.TURNS)])
    return every[angles, torch.arange(len(images), device=images.device)], angles
