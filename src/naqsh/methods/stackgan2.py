r"""StackGAN, stage II: what stage I made, larger, after a second look at the sentence.

Stage I is a trained run (``method.first``), frozen and in evaluation mode: both released codes
leave it in training mode, so that its images depend on the batch and one of them lets its running
statistics drift. Its image and a condition of stage II's own, drawn from the same caption, go
through an encoder, residual blocks and a decoder (:mod:`naqsh.networks.stackgan`); there is no
further z. Losses are those of stage I (:mod:`naqsh.methods.stackgan`), with a discriminator of
stage II's own.

References:
    StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative Adversarial Networks
    (Zhang et al., 2017), arXiv:1612.03242, equations 5 and 6.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.core.frozen import Frozen
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout, Parent
from naqsh.methods import stackgan as first_stage
from naqsh.networks import stackgan
from naqsh.networks.captions import require_captions
from naqsh.networks.stackgan import Condition


@dataclass(frozen=True)
class Spec(first_stage.StageSpec):
    """Hyperparameters of stage II.

    Attributes:
        first: the run of stage I.
        condition: numbers in c, which the generator is told of a caption.
        text: numbers that the discriminator compresses a caption to.
        width: channels of the generator at stage I's side.
        critic_width: channels of the discriminator's first layer.
        blocks: residual blocks of the generator.
        upsample: how features are doubled: nearest repeats pixels before a convolution, shuffle
            unfolds channels into pixels, with four times the weights.
        kl: lambda, the weight of the condition's KL to N(0, I) a dimension.
        generator: the generator's optimiser.
        critic: the discriminator's optimiser.
        r1: gamma of the penalty ``gamma/2 E |grad D|^2`` on real images with their captions, with
            which the discriminator has no batch normalisation; 0 leaves it out.
        r1_every: steps from one penalty to the next, which is that many times as strong.
    """

    first: Parent = Parent()
    blocks: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks < 0:
            raise ValueError(f"blocks must be at least 0, got {self.blocks}")

    def build(self, layout: Layout) -> "StageTwo":
        """The method on stage I with fresh networks of its own.

        Raises:
            ValueError: the images have no captions, or none of the side, channels and embeddings
                that suit stage I; or the run of stage I is none.
        """
        return StageTwo(self, require_captions(layout))


class StageTwo(first_stage.Stage):
    """Stage II: larger images of stage I's."""

    spec: Spec
    generator: stackgan.StageTwo

    def __init__(self, spec: Spec, layout: Layout) -> None:
        super().__init__(spec, layout)
        small, caption = _first(spec.first)
        if caption != layout.caption:
            raise ValueError(
                f"stage I was told captions in {caption} numbers, and these have {layout.caption}: "
                "both stages need the same text encoder"
            )
        self.first = Frozen(spec.first.build())
        self.generator = stackgan.StageTwo(
            small,
            layout.shape,
            layout.caption,
            spec.condition,
            spec.width,
            spec.blocks,
            spec.upsample,
        )

    def make(self, noise: Noise, captions: Tensor) -> tuple[tuple[Tensor, ...], Condition]:
        """Images of captions in [-1, 1] of both stages, and stage II's conditions."""
        before = self.first.module
        assert isinstance(before, first_stage.Stage)
        with torch.no_grad():
            small, _ = before.make(noise, captions)
        chance = noise.normal(self.spec.condition)
        images, condition = self.generator(small[-1], captions, chance)
        return (*small, images.float()), condition


def _first(parent: Parent) -> tuple[tuple[int, int, int], int]:
    """The shape of stage I's images and the numbers in its captions' embeddings."""
    if parent.method is None or parent.layout is None:
        raise ValueError("it stands on another run, and none is named")
    if not isinstance(parent.method, first_stage.StageSpec):
        raise ValueError(
            f"method.first is a run of {parent.method.kind}; stage II stands on one of stackgan"
        )
    return parent.layout.shape, parent.layout.caption
