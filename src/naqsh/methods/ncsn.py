r"""Noise conditional score networks: NCSN, and NCSNv2 by the choice of hyperparameters.

The model of :mod:`naqsh.methods.diffusion` under levels of noise that rise by one factor
(:class:`naqsh.diffusion.geometric.Geometric`), drawn from by annealed Langevin dynamics
(:mod:`naqsh.diffusion.samplers.langevin`). With the score :math:`s = -\hat\epsilon / \sigma` and
NCSN's weights :math:`\sigma^2`, denoising score matching is the squared error of the noise,

.. math:: \sigma^2 \left\lVert s(x_t, \sigma) + \frac{\epsilon}{\sigma} \right\rVert^2
   = \lVert \hat\epsilon(x_t, \sigma) - \epsilon \rVert^2,

of which the papers take half the sum over an image and we the mean. So it is DDPM's loss, and all
samplers and bounds of diffusion models are the score network's, too.

NCSN has its network predict the score (parameterisation ``score``, weighting ``noise``) and tells
it the level. NCSNv2 has it predict the noise (``epsilon``), does not tell it the level (`blind`),
averages the weights (``training.ema``), and takes the levels and the step size from the images
(:mod:`naqsh.diffusion.levels`); its chains end in a denoising step. The papers' networks are
RefineNets (:mod:`naqsh.networks.refinenet`); ours is DDPM's U-Net unless the other is asked for.

References:
    Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon, 2019),
    arXiv:1907.05600.
    Improved Techniques for Training Score-Based Generative Models (Song and Ermon, 2020),
    arXiv:2006.09011.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn

from naqsh.core.spec import Shape, later
from naqsh.diffusion.samplers import Langevin, Sampler, SamplerName
from naqsh.diffusion.schedule import AnySchedule, Geometric
from naqsh.methods import diffusion
from naqsh.networks import points
from naqsh.networks.refinenet import RefineNet

PAPERS = Geometric()
"""The levels of NCSN."""


@dataclass(frozen=True)
class Spec(diffusion.Spec):
    """The hyperparameters of a noise conditional score network.

    Attributes:
        schedule: the levels of noise.
        sampler: by which images are drawn unless another is asked for.
        steps: how many levels the sampler takes; those of the schedule unless fewer are wanted.
        inner: Langevin steps at each level.
        size: of a Langevin step, over sigma squared; None is NCSNv2's choice.
        denoise: whether chains end in a denoising step.
        blind: whether the network is not told the level, but sees it in the image.
        network: ``unet``, or the papers' ``refinenet``. Of the hyperparameters of a U-Net, `width`
            is the RefineNet's too (64 for MNIST, 128 for CIFAR-10), the others mean nothing to it.
    """

    schedule: AnySchedule = PAPERS
    sampler: SamplerName = "langevin"
    steps: int = 10
    inner: int = 5
    size: float | None = None
    denoise: bool = True
    blind: bool = False
    network: Literal["unet", "refinenet"] = later("unet")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner < 1:
            raise ValueError("inner must be at least 1")
        if self.size is not None and not 0 < self.size <= 1:
            raise ValueError("size must lie in (0, 1]")
        if self.network == "refinenet":
            if self.conditional:
                raise ValueError("a RefineNet takes no labels or captions; give network unet")
            if self.schedule.levels is None and not self.blind:
                raise ValueError(
                    "a RefineNet is told the number of a level, and this schedule has none; give "
                    "blind true, or network unet"
                )

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(super().tiny(), inner=min(self.inner, 2))

    def make_network(self, space: Shape, classes: int, captions: int = 0) -> nn.Module:
        """A fresh network, as `network` and `blind` say; of points it is an MLP."""
        if self.network == "refinenet" and not points.are_points(space):
            outputs = 2 * space[0] if self.variance == "learned" else space[0]
            levels = 1 if self.blind else self.schedule.levels or 1
            network: nn.Module = RefineNet(space, self.width, levels, outputs)
        else:
            network = super().make_network(space, classes, captions)
        return Blind(network) if self.blind else network

    def samplers(self, clip: bool) -> Mapping[str, Sampler]:
        """Every sampler by its name, Langevin dynamics as it is set here."""
        langevin = Langevin(
            self.steps, clip=clip, inner=self.inner, size=self.size, denoise=self.denoise
        )
        return {**super().samplers(clip), "langevin": langevin}


class Blind(nn.Module):
    """A network that is told the same of every level of noise.

    Args:
        network: (images, condition, labels) to images.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @property
    def null(self) -> int | Tensor:
        """What stands for no label or caption, of a network that is told one."""
        return cast("int | Tensor", self.network.null)

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the network makes of `x` with shape (N, C, H, W), whatever `time` is."""
        output: Tensor = self.network(x, torch.zeros_like(time), labels)
        return output
