r"""MeanFlow: images in one evaluation, learnt without a teacher.

A network is trained to give the velocity of flow matching averaged over an interval of time
(:mod:`naqsh.diffusion.averaging`). With :math:`v = \epsilon - x` for the velocity, whose
expectation at z is all that is needed, its target and loss are

.. math:: u^\star = v - (t - r)\, \frac{d u_\theta}{d t}, \qquad
   L = \frac{S}{(\bar S + c)^p}, \quad S = \lVert u_\theta(z_t, r, t) - \bar u^\star \rVert^2,

where a bar stands for numbers without a gradient. For a share of the images r = t, and the loss is
flow matching's but for the weight. Which they are goes by their number in the batch, not by chance,
so that forward mode is paid for by the others alone.

Of labels the target can have guidance built in, so that samples need one evaluation, not two:

.. math:: v \leftarrow (1 - \kappa)\,\bigl(w v + (1 - w)\, u_\theta(z, t, t \mid \varnothing)\bigr)
   + \kappa\, u_\theta(z, t, t \mid c).

The network at r = t is flow matching's own, so every deterministic sampler takes it, too.

References:
    Mean Flows for One-step Generative Modeling (Geng et al., 2025), arXiv:2505.13447: equations 9
    to 11 and 22, section 4.3, appendix B.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.method import Losses
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.diffusion.averaging import Averaging
from naqsh.diffusion.denoiser import Denoises
from naqsh.diffusion.guidance import Interval, drop
from naqsh.diffusion.method import Denoising, DenoisingSpec
from naqsh.diffusion.parameterisation import Parameterisation
from naqsh.diffusion.process import spread
from naqsh.diffusion.samplers import Euler, Heun, Sampler
from naqsh.diffusion.samplers.jump import Jump
from naqsh.diffusion.schedule import AnySchedule, FlowMatching
from naqsh.networks.interval import IntervalEmbedding

STRAIGHT = FlowMatching()
"""The line from image to noise."""


@dataclass(frozen=True)
class Spec(MethodSpec):
    """The hyperparameters of MeanFlow.

    Attributes:
        width: channels of the U-Net's first level. Points have an MLP instead, with eight times as
            many units a layer, to which the U-Net's other hyperparameters mean nothing.
        multipliers: the width of each level over `width`, finest first.
        blocks: residual blocks a level on the way down.
        attention: sides of the levels with self-attention; the middle always has it.
        heads: heads of each attention.
        dropout: chance of dropping a channel's value in each residual block.
        conditional: whether the network is conditioned on labels, so that a class can be asked for.
        label_dropout: how often a label is hidden from the network in training, for guidance.
        later: mean and standard deviation of the logit of one time of an interval; the larger of
            the two times is its end.
        earlier: the same of the other time.
        equal: share of the images whose interval has length 0.
        power: p, how much of the loss's size is taken from it; 0 is the plain squared error.
        constant: c, below which a squared error counts as none.
        guidance: w, how far a label's part is exaggerated in the target; 1 is not at all.
        mixing: kappa, the share of the network's own velocity in the target.
        steps: how many evaluations an image takes.
        optimizer: how all of it is trained.
    """

    width: int = 16
    multipliers: tuple[int, ...] = (1, 2, 6)
    blocks: int = 1
    attention: tuple[int, ...] = ()
    heads: int = 1
    dropout: float = 0.0
    conditional: bool = False
    label_dropout: float = 0.1
    later: tuple[float, float] = (-0.6, 1.6)
    earlier: tuple[float, float] = (-4.0, 1.6)
    equal: float = 0.75
    power: float = 0.75
    constant: float = 1e-3
    guidance: float = 1.0
    mixing: float = 0.0
    steps: int = 1
    optimizer: Optimizer = Adam(lr=1e-3)

    def __post_init__(self) -> None:
        self.flow_matching()  # refuses what no diffusion model can have
        if min(self.later[1], self.earlier[1], self.constant) <= 0:
            raise ValueError("the deviations of later and earlier, and constant, must be above 0")
        if not 0 <= self.equal <= 1 or not 0 <= self.power <= 1:
            raise ValueError("equal and power must lie in [0, 1]")
        if not 0 <= self.mixing < 1:
            raise ValueError(f"mixing must lie in [0, 1), got {self.mixing}")

    @property
    def guided(self) -> bool:
        """Whether the target has guidance built in."""
        return self.guidance != 1 or self.mixing != 0

    def build(self, layout: Layout) -> "MeanFlow":
        """The method with a fresh network; classes are used where it is conditional."""
        classes = len(layout.classes)
        if self.conditional and not classes:
            raise ValueError("a conditional model needs labels, and these images have none")
        if self.guided and not self.conditional:
            raise ValueError("guidance and mixing need labels; give conditional true")
        return self.on(layout, classes if self.conditional else 0)

    def on(self, layout: Layout, classes: int) -> "MeanFlow":
        """The method on these images, told `classes` labels."""
        return MeanFlow(self, layout.shape, layout.shape, classes)

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        small = self.flow_matching().tiny()
        return replace(self, width=small.width, multipliers=small.multipliers, attention=())

    def flow_matching(self) -> "Intervals":
        """The model of flow matching with the same network."""
        shared = {f.name for f in fields(self)} & {f.name for f in fields(Intervals)}
        return Intervals(**{name: getattr(self, name) for name in shared})


@dataclass(frozen=True)
class Intervals(DenoisingSpec):
    """Flow matching by a network that is told an interval; no method by itself."""

    schedule: AnySchedule = STRAIGHT
    parameterisation: Parameterisation = "velocity"

    def make_network(self, space: Shape, classes: int, captions: int = 0) -> nn.Module:
        """A fresh network, a U-Net or of points an MLP, told an interval instead of a time."""
        network = super().make_network(space, classes, captions)
        assert isinstance(network.embed, nn.Sequential)
        network.embed = IntervalEmbedding(network.embed)
        return network

    def samplers(self, clip: bool) -> Mapping[str, Sampler]:
        """Jumps, and what follows the velocity at each time, by their names."""
        kinds = {"jump": Jump, "euler": Euler, "heun": Heun}
        return {name: kind(self.steps, clip=clip) for name, kind in kinds.items()}


class MeanFlow(Denoising):
    """A denoiser that is trained on intervals.

    Args:
        spec: its hyperparameters.
        shape: (C, H, W) of the images.
        space: (C, H, W) of x0.
        classes: how many labels the network is conditioned on; 0 for none.
    """

    def __init__(self, spec: Spec, shape: Shape, space: Shape, classes: int) -> None:
        super().__init__(spec.flow_matching(), shape, space, classes)
        self.mean_flow = spec
        self.denoiser = averaging(self.denoiser.network)

    @property
    def averaging(self) -> Averaging:
        """The denoiser."""
        assert isinstance(self.denoiser, Averaging)
        return self.denoiser

    @property
    def default_sampler(self) -> str:
        """Jumps."""
        return "jump"

    def guided(self, scale: float = 1.0, interval: Interval | None = None) -> Denoises:
        """The denoiser under guidance, as every average velocity is; itself at scale 1.

        Raises:
            NaqshError: it knows no labels, or guidance is to hold in an interval alone.
        """
        if interval:
            raise NaqshError("a jump passes many levels of noise; leave guidance_interval out")
        if super().guided(scale) is self.denoiser:
            return self.denoiser
        return averaging(Leaning(self.denoiser.network, scale, self.classes))

    def aim(self, x_t: Tensor, t: Tensor, velocity: Tensor, labels: Tensor | None) -> Tensor:
        """The velocity that the target is made of: with guidance, where an image has a label.

        Args:
            x_t: images at time t with shape (N, C, H, W).
            t: shape (N,).
            velocity: from the clean image to the noise, shape of `x_t`.
            labels: int64 with shape (N,), the number of classes for none.

        Returns:
            shape of `x_t`, without a gradient.
        """
        if labels is None or not self.mean_flow.guided:
            return velocity
        scale, mixing = self.mean_flow.guidance, self.mean_flow.mixing
        none = torch.full_like(labels, self.classes)
        with torch.no_grad():
            aim = self.averaging.average(x_t, t, t, none).lerp(velocity, scale)
            if mixing:
                aim = aim.lerp(self.averaging.average(x_t, t, t, labels), mixing)
        return aim.where(spread((labels != none), x_t).bool(), velocity)

    def validation(self, batch: Batch) -> Losses:
        """The squared error a value on held-out images; the weighted loss would hide its size."""
        found = super().validation(batch)
        return {**found, "total": (found["flow"][0] + found["interval"][0]) / len(batch)}

    def _losses(self, batch: Batch, hidden: float) -> Losses:
        """The weighted loss; beside it the squared error a value at r = t, and over intervals."""
        labels = self.labels.of(batch)
        if labels is not None and hidden:
            labels = drop(labels, batch.noise, hidden, self.classes)
        x, noise, spec = self.clean(batch), batch.noise, self.mean_flow
        one, other = (mean + s * noise.normal().to(x) for mean, s in (spec.later, spec.earlier))
        t, r = torch.maximum(one, other).sigmoid(), torch.minimum(one, other).sigmoid()
        epsilon = noise.normal(*x.shape[1:]).to(x)
        x_t = x.lerp(epsilon, spread(t, x))
        aim = self.aim(x_t, t, epsilon - x, labels)
        weighted, parts = [], {}
        still, moving = shares(noise, spec.equal, x.device)
        for name, those in {"flow": still, "interval": moving}.items():
            some = None if labels is None else labels[those]
            found = self.errors(
                x_t[those], t[those], r[those], aim[those], some, name == "interval"
            )
            weighted.append(found / (found.detach() + spec.constant) ** spec.power)
            mean = found.detach().sum() / x[0].numel()
            parts[name] = torch.stack([mean, torch.full_like(mean, len(those))])
        return {"total": torch.cat(weighted).mean(), **parts}

    def errors(
        self,
        x_t: Tensor,
        t: Tensor,
        r: Tensor,
        aim: Tensor,
        labels: Tensor | None,
        over: bool,
    ) -> Tensor:
        """The squared errors of average velocities, shape (N,).

        Args:
            x_t: images at time t with shape (N, C, H, W).
            t: shape (N,).
            r: the beginnings of the intervals, shape (N,).
            aim: the velocities at time t, shape of `x_t`.
            labels: int64 with shape (N,), or None.
            over: whether the intervals have a length; else they are taken to begin at t.
        """
        if not len(x_t):
            return x_t.new_zeros(0)
        if over:
            u, slope = self.averaging.with_slope(x_t, t, r, aim, labels)
            aim = aim - spread(t - r, aim) * slope
        else:
            u = self.averaging.average(x_t, t, t, labels)
        return (u - aim).square().flatten(1).sum(1)


class Leaning(nn.Module):
    """A network that leans towards what a label adds, whatever interval it is asked for.

    Args:
        network: (images, times, labels) to images.
        scale: 0 ignores labels, 1 is the network itself.
        null: the label that stands for none.
    """

    def __init__(self, network: nn.Module, scale: float, null: int) -> None:
        super().__init__()
        self.network, self.scale, self.null = network, scale, null

    def forward(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        """One pass of the network over twice the images."""
        both = torch.cat([labels, torch.full_like(labels, self.null)])
        told, plain = self.network(torch.cat([x, x]), torch.cat([time, time]), both).chunk(2)
        out: Tensor = torch.lerp(plain, told, self.scale)
        return out


def averaging(network: nn.Module) -> Averaging:
    """A network that is told intervals, as a denoiser."""
    return Averaging(network, STRAIGHT, parameterisation="velocity")


def shares(noise: Noise, equal: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which images of a batch have an interval of length 0, and which another: places, int64.

    By the number of an image, so that neither the ranks nor the parts of a batch matter.

    Args:
        noise: of the images.
        equal: share of the former.
        device: of the places.
    """
    numbers = range(noise.first + 1, noise.first + len(noise) + 1)
    moves = [int(n * (1 - equal)) > int((n - 1) * (1 - equal)) for n in numbers]
    places = [[i for i, does in enumerate(moves) if does == kind] for kind in (False, True)]
    still, moving = (torch.tensor(p, dtype=torch.int64, device=device) for p in places)
    return still, moving
