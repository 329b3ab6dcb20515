"""Time in the U-Net: how a number becomes a vector, where it enters, and what it is good for."""

import functools
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.schedule import Linear
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.networks.embeddings import LONGEST, Sinusoidal
from naqsh.networks.unet import UNet
from naqsh.networks.unet_blocks import ResidualBlock
from naqsh.report.words import Words

LESSON = Lesson("unet-time", number=15, questions=("embedding", "where", "why"))

LENGTH = 64
SCHEDULE = Linear()
WIDTH = 0.1
"""Deviation of normal data in [-1, 1], for which the best denoisers are known."""


def frequencies() -> Tensor:
    """Of an embedding of LENGTH, float64."""
    exponents = torch.linspace(0, 1, LENGTH // 2, dtype=torch.float64)
    return torch.exp(-math.log(LONGEST) * exponents)


def embedded(t: Tensor) -> Tensor:
    """Naqsh's embedding of times, as float64."""
    vectors: Tensor = Sinusoidal(LENGTH)(t).double()
    return vectors


ANGLES = 1000 * 2.0**-23
"""Error of an angle of 1,000 in float32: of the product and of the frequency."""


@LESSON.check
def only_differences() -> Check:
    """Products of embeddings of 200 pairs of times against sums of cosines of differences."""
    times = 1000 * Noise(0, 200).uniform(2)
    left = (embedded(times[:, 0]) * embedded(times[:, 1])).sum(1)
    away = (times[:, 0] - times[:, 1]).double()
    right = (away[:, None] * frequencies()).cos().sum(1)
    return Check(left.numpy(), right.numpy(), LENGTH * ANGLES)


@LESSON.check
def a_shift_turns() -> Check:
    """The embedding of t + 7.5 against that of t with each pair turned by its angle."""
    times = torch.linspace(0, 990, 100)
    now, angle = embedded(times), 7.5 * frequencies()
    sines, cosines = now.chunk(2, dim=1)
    turned = torch.cat(
        [
            sines * angle.cos() + cosines * angle.sin(),
            cosines * angle.cos() - sines * angle.sin(),
        ],
        dim=1,
    )
    return Check(embedded(times + 7.5).numpy(), turned.numpy(), 4 * ANGLES)


@functools.cache
def block() -> ResidualBlock:
    """A residual block of Naqsh's whose last convolution is not at its first zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = ResidualBlock(8, 16, LENGTH, 0.0).double()
        nn.init.normal_(made.conv2.weight, std=0.1)
    return made.requires_grad_(False)


def time_of(made: ResidualBlock, e: Tensor) -> Tensor:
    """What a block's layer for time makes of embeddings (N, LENGTH): one number a channel."""
    layer = made.get_submodule("time")
    shift: Tensor = layer(e)
    return shift


def features() -> tuple[Tensor, Tensor]:
    """Some features (4, 8, 6, 6) and time embeddings after SiLU (4, LENGTH)."""
    x = Noise(1, 4).normal(8, 6, 6).double()
    return x, silu(embedded(torch.tensor([1.0, 40.0, 400.0, 999.0])))


@LESSON.check
def a_bias_of_its_own() -> Check:
    """A block that sees a time against one whose first bias is that time's, image by image."""
    made, (x, e) = block(), features()
    found = []
    for image, shift in zip(x, time_of(made, e), strict=True):
        h = made.conv1(silu(made.norm1(image[None])))
        h = h + shift[None, :, None, None]
        again = made.conv2(silu(made.norm2(h)))
        found.append(made.skip(image[None]) + again)
    return Check(made(x, e).numpy(), torch.cat(found).numpy(), 1e-12)


@LESSON.check
def a_common_shift_is_lost() -> Check:
    """What a time adds to all channels of a group alike, the normalisation takes away again."""
    made, (x, e) = block(), features()
    h = made.conv1(silu(made.norm1(x))) + time_of(made, e)[:, :, None, None]
    groups = made.norm2.num_groups
    common = Noise(2, 4).normal(groups).double().repeat_interleave(16 // groups, dim=1)
    moved = made.norm2(h + common[:, :, None, None])
    # The normalisation is computed in float64 here, with values of a few units.
    return Check(moved.numpy(), made.norm2(h).numpy(), 1e-12)


def signal() -> tuple[Tensor, Tensor]:
    """Alpha and sigma at all times, float64."""
    return SCHEDULE(torch.arange(1, SCHEDULE.steps + 1).double())


def told_loss() -> float:
    """Least simple loss of normal data where the time is told: the mean of alpha^2 w^2 / p."""
    alpha, sigma = signal()
    p = alpha**2 * WIDTH**2 + sigma**2
    return float((alpha**2 * WIDTH**2 / p).mean())


def blind_slope() -> tuple[float, float]:
    """The best factor g of x_t in a guess of the noise, one for all times, and its loss."""
    alpha, sigma = signal()
    p = alpha**2 * WIDTH**2 + sigma**2
    slope = float(sigma.mean() / p.mean())
    return slope, 1 - float(sigma.mean() ** 2 / p.mean())


class Scaled(nn.Module):
    """A guess of the noise that is a factor times the image: of its time, or one for all."""

    def __init__(self, told: bool) -> None:
        super().__init__()
        self.told = told

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None) -> Tensor:
        """Images (N, 1, 1, 1) and times (N,) to the noise."""
        if not self.told:
            return blind_slope()[0] * x
        alpha, sigma = SCHEDULE(condition.double())
        return (sigma / (alpha**2 * WIDTH**2 + sigma**2)).view(-1, 1, 1, 1).to(x) * x


def losses(told: bool) -> Tensor:
    """Naqsh's simple loss of 100,000 numbers at random times, float64 (N,)."""
    noise = Noise(3, 100_000)
    clean = WIDTH * noise.normal(1, 1, 1).double()
    loss, _ = Denoiser(Scaled(told), SCHEDULE).loss(clean, noise)
    return loss.detach()


@LESSON.check
def with_time() -> Check:
    """Naqsh's loss of the best denoiser that is told the time, against the closed form."""
    return Check.of_mean(losses(True).numpy(), told_loss())


@LESSON.check
def without_time() -> Check:
    """Naqsh's loss of the best factor for all times, against the closed form."""
    return Check.of_mean(losses(False).numpy(), blind_slope()[1])


DIMENSIONS = (1, 4, 16, 64, 256, 1024)


@functools.cache
def blind_loss(dimensions: int) -> float:
    """Loss of the best of all denoisers that are not told the time, of D normal numbers.

    It sees the time in the length of x_t as well as that can be seen, and averages over the rest.
    """
    alpha, sigma = signal()
    p = alpha**2 * WIDTH**2 + sigma**2
    rounds = max(1, 256 // dimensions)
    t = torch.arange(SCHEDULE.steps).repeat(rounds)
    z = Noise(4, len(t)).normal(2, dimensions).double()
    x = alpha[t, None] * WIDTH * z[:, 0] + sigma[t, None] * z[:, 1]
    squares = (x**2).sum(1, keepdim=True)
    factors = []
    for part in squares.split(1000):
        share = (-part / (2 * p) - dimensions / 2 * p.log()).softmax(1)
        factors.append((share * sigma / p).sum(1))
    # Beside the loss of who is told, what the wrong factor adds: noise given x is known.
    added = (torch.cat(factors) - (sigma / p)[t]) ** 2 * squares[:, 0] / dimensions
    return told_loss() + float(added.mean())


@functools.cache
def learnt(kind: str) -> float:
    """Root of the mean error of a small network that learns ln SNR of t from a kind of input."""
    t = torch.arange(1.0, 1001.0)
    target = SCHEDULE.log_snr(t.double()).float()[:, None]
    inputs = Sinusoidal(LENGTH)(t) if kind == "embedding" else t[:, None] / 1000
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(inputs.shape[1], 64), nn.SiLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(400):
        optimizer.zero_grad()
        error = (net(inputs) - target).square().mean()
        error.backward()
        optimizer.step()
    return float(error.detach().sqrt())


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Likeness of times, learning, losses, parameters."""
    near = embedded(torch.tensor([500.0, 501.0, 510.0, 600.0, 900.0]))
    likeness = (near @ near[0]) / near[0].square().sum()
    found = {f"like_{n}": float(v) for n, v in zip((1, 10, 100, 400), likeness[1:], strict=True)}
    found |= {"learnt_embedding": learnt("embedding"), "learnt_number": learnt("number")}
    found |= {"told": told_loss(), "factor": blind_slope()[1]}
    found |= {f"blind_{d}": blind_loss(d) for d in DIMENSIONS}
    net = UNet((3, 32, 32), 128, (1, 2, 2, 2), 2, (16,))
    whole = sum(p.numel() for p in net.parameters())
    of_time = sum(p.numel() for name, p in net.named_parameters() if ".time." in name)
    of_time += sum(p.numel() for p in net.embed.parameters())
    found |= {"whole": whole, "of_time": of_time, "share": of_time / whole}
    found["blocks"] = sum(isinstance(part, ResidualBlock) for part in net.modules())
    found["radius"] = math.sqrt(LENGTH / 2)
    return found


@LESSON.figure
def embedding(words: Words) -> Figure:
    """The embedding of all times, and how like two times are."""
    title = ("embedding of each time", "تعبیه‌ی هر زمان")
    image = Plot(words, x=("time t", "زمان t"), y=("number", "مؤلفه"), title=title)
    table = embedded(torch.arange(0.0, 1000.0, 4.0)).T.numpy()
    image.image(table, cmap="coolwarm", aspect="auto", extent=(0, 1000, LENGTH, 0))
    image.axes.grid(False)
    title = ("likeness of two times", "شباهت دو زمان")
    right = Plot(words, x=("difference of times", "اختلاف دو زمان"), title=title)
    away = torch.linspace(-400, 400, 1601, dtype=torch.float64)
    right.line(away, (away[:, None] * frequencies()).cos().mean(1))
    return Figure([image, right], columns=2)


@LESSON.figure
def blind(words: Words) -> Figure:
    """What it costs not to be told the time, by the size of the image."""
    x = ("numbers in an image", "تعداد عددهای تصویر")
    plot = Plot(words, x=x, y=("simple loss", "زیان ساده"), log="x")
    plot.line(
        DIMENSIONS,
        [blind_loss(d) for d in DIMENSIONS],
        ("time not told", "زمان گفته نشده"),
        marker="o",
        markersize=3,
    )
    told = ("time told", "زمان گفته شده")
    plot.line(DIMENSIONS, np.full(len(DIMENSIONS), told_loss()), told, dash="--")
    return Figure([plot])
