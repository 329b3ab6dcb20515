"""WGAN, PG-GAN, BigGAN, StyleGAN: which problem each found, and what its mechanism does to it."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from naqsh.adversarial.diversity import variance
from naqsh.adversarial.objectives import OBJECTIVES
from naqsh.core.noise import Noise
from naqsh.lessons.generators_of_digits import (
    BOUNDS,
    digits,
    made_digits,
    spreads,
    traded,
    truncated,
    truncated_variance,
)
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot, Said
from naqsh.lessons.styles import mixed, modulated
from naqsh.networks import conditional, heads
from naqsh.networks.instance import InstanceNorm
from naqsh.report.words import Words

LESSON = Lesson("gan-line", number=6, questions=("line", "wgan", "pggan", "biggan", "stylegan"))


SHIFTS = (0.25, 0.5, 1.0, 2.0)


def overlap(shift: float) -> float:
    """JS of the uniform distributions on [0, 1] and [shift, 1 + shift], on 1,000 cells a unit."""
    x = (torch.arange(4000, dtype=torch.float64) + 0.5) / 1000
    p, q = ((x > low) & (x < low + 1) for low in (0.0, shift))
    parts = [
        torch.special.xlogy(a.double(), 2.0 * a / (p.double() + q).clamp(min=1)) for a in (p, q)
    ]
    return float(sum(part.sum() for part in parts) / 2000)


@LESSON.check
def two_intervals() -> Check:
    """W1 of sorted points and JS on cells, four shifts, against shift and min(shift, 1) ln 2."""
    x = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    carried = [float((x + shift - x).abs().mean()) for shift in SHIFTS]
    said = [math.log(2) * min(shift, 1.0) for shift in SHIFTS]
    return Check(np.array([*carried, *map(overlap, SHIFTS)]), np.array([*SHIFTS, *said]), 1e-12)


@LESSON.check
def slope_of_one() -> Check:
    """Naqsh's Wasserstein loss of the critic -x, turned, for the same shifts: it reaches W1."""
    x = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    found = [-float(OBJECTIVES["wasserstein"].critic(-x, -(x + shift))) for shift in SHIFTS]
    return Check(np.array(found), np.array(SHIFTS), 1e-12)


def faded(images: Tensor, alpha: float) -> Tensor:
    """Images between their blocks' means, alpha 0, and themselves, alpha 1."""
    coarse = interpolate(avg_pool2d(images, 2), scale_factor=2.0)
    return torch.lerp(coarse, images, alpha)


@LESSON.check
def fades() -> Check:
    """Of faded digits: means of blocks stay, and details have alpha^2 of their mean square."""
    images = digits()[0][:100]
    whole = faded(images, 1.0) - faded(images, 0.0)
    found, said = [], []
    for alpha in (0.0, 0.3, 1.0):
        made = faded(images, alpha)
        details = made - faded(made, 0.0)
        found += [avg_pool2d(made, 2).flatten(), details.square().mean()[None]]
        said += [avg_pool2d(images, 2).flatten(), alpha**2 * whole.square().mean()[None]]
    return Check(torch.cat(found).numpy(), torch.cat(said).numpy(), 1e-12)


@LESSON.check
def same_start() -> Check:
    """A grown network with alpha 0 against the old one's image, enlarged."""
    features = Noise(1, 4).normal(8, 4, 4).double()
    old, new = (Noise(seed, 1).normal(1, 8, 1, 1).double()[0] for seed in (2, 3))
    layer = Noise(4, 1).normal(8, 8, 3, 3).double()[0]
    larger = interpolate(features, scale_factor=2.0)
    grown = torch.lerp(conv2d(larger, old), conv2d(conv2d(larger, layer, padding=1), new), 0.0)
    return Check(grown.numpy(), interpolate(conv2d(features, old), scale_factor=2.0).numpy(), 1e-12)


@LESSON.check
def spread_of_four() -> Check:
    """The mean variance within groups of four normal numbers, against 3/4."""
    return Check.of_mean(Noise(5, 100_000).normal(4).double().var(1, correction=0).numpy(), 0.75)


@LESSON.check
def spread_of_digits() -> Check:
    """Naqsh's variance of batches of digits, drawn at random, against the covariance's trace."""
    images = digits()[0]
    rows = Noise(6, 2000).integers(len(images), 16)
    found = [float(variance(images[few])) for few in rows]
    return Check.of_mean(found, float(images.flatten(1).var(0, correction=0).sum()))


RATE = 1e-3


@LESSON.check
def equalised() -> Check:
    """Adam's first step as a part of the weights' size, for 16 and 1,024 inputs, two ways."""
    found, said = [], []
    for inputs in (16, 1024):
        x = Noise(7, 8).normal(inputs).double()
        size = math.sqrt(2 / inputs)
        for scale in (size, 1.0):  # multiplied at each use, and stored as it is used
            stored = (Noise(8, 1).normal(inputs, 1).double()[0] * size / scale).requires_grad_()
            before = stored.detach().clone()
            optimizer = torch.optim.Adam([stored], lr=RATE, eps=1e-30)
            (x @ (scale * stored)).square().mean().backward()
            optimizer.step()
            found.append(float((stored.detach() - before).abs().mean()) * scale / size)
            said.append(RATE * scale / size)
    return Check(np.array(found), np.array(said), 1e-12)


@LESSON.check
def class_norm() -> Check:
    """Naqsh's class-conditional batch normalisation against its formula."""
    layer = conditional.batch_norm(3, 5, 1)
    assert isinstance(layer, conditional.ClassNorm)
    x, labels = Noise(9, 40).normal(3), Noise(10, 40).integers(5)
    table = Noise(11, 5).normal(6)
    with torch.no_grad():
        layer.table.weight.copy_(table)
        ours = layer(x, labels)
    scale, shift = table.chunk(2, 1)
    hat = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()
    return Check(ours.numpy(), (scale[labels] * hat + shift[labels]).numpy(), 1e-5)


@LESSON.check
def projection() -> Check:
    """Scores of Naqsh's projection discriminator against w.f + b + e_c.f."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))
        critic = heads.headed(layers, classes=3)
    images, labels = Noise(12, 6).normal(1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.no_grad():
        assert critic.table is not None
        ours, f = critic.judged(images, labels).scores, critic.features(images)
        said = f @ critic.score.weight[0] + critic.score.bias
        said = said + (f * critic.table.weight[labels]).sum(1)
    return Check(ours.numpy(), said.numpy(), 1e-5)


@LESSON.check
def classes_seen() -> Check:
    """Kinds among 16 images of 10 kinds, 20,000 batches, against 10 (1 - 0.9^16)."""
    kinds = Noise(13, 20_000).integers(10, 16)
    seen = nn.functional.one_hot(kinds, 10).amax(1).sum(1).double()
    return Check.of_mean(seen.numpy(), kinds_seen(10, 16))


def kinds_seen(kinds: int, batch: int) -> float:
    """How many kinds a batch is expected to show."""
    return kinds * (1 - (1 - 1 / kinds) ** batch)


@LESSON.check
def orthogonal() -> Check:
    """The gradient of |W'W o (1 - I)|^2: autograd against 4 W (W'W o (1 - I))."""
    w = Noise(14, 6).normal(4).double().requires_grad_()
    off = 1 - torch.eye(4, dtype=torch.float64)
    (slope,) = torch.autograd.grad(((w.T @ w) * off).square().sum(), w)
    said = 4 * w @ ((w.T @ w) * off)
    return Check(slope.numpy(), said.detach().numpy(), 1e-10)


@LESSON.check
def truncation() -> Check:
    """The variance of truncated normal numbers, three bounds, against its formula."""
    bounds = (0.5, 1.0, 2.0)
    squares = [truncated(b, 15, 100_000, 1)[:, 0].square().numpy() for b in bounds]
    return Check.of_mean(np.stack(squares, 1), np.array([truncated_variance(b) for b in bounds]))


@LESSON.check
def demodulated() -> Check:
    """The mean square of what a modulated convolution gives of independent inputs, against 1."""
    weights = modulated(
        Noise(17, 4).normal(8, 3, 3).double(), torch.linspace(-3, 8, 8, dtype=torch.float64)[None]
    )[0]
    inputs = Noise(18, 50_000).normal(8 * 9).double()
    return Check.of_mean((inputs @ weights.flatten(1).T).square().numpy(), np.ones(4))


@LESSON.check
def scale_cancels() -> Check:
    """Weights of a style and of three times that style; Naqsh's normalised features likewise."""
    weight, style = Noise(19, 4).normal(8, 3, 3).double(), Noise(20, 2).normal(8).double()
    x, norm = Noise(21, 2).normal(8, 6, 6).double(), InstanceNorm(4)
    kept = [modulated(weight, s).flatten() for s in (style, 3 * style)]
    features = [norm(conv2d(k * x, weight)).flatten() for k in (1, 3)]
    # 1e-5 is added to a variance near 70, before it is scaled and after.
    sides = [torch.cat(side).numpy() for side in zip(kept, features, strict=True)]
    return Check(sides[0], sides[1], 1e-6)


def bent(z: Tensor) -> Tensor:
    """Normal pairs (N, 2) as points evenly in an L: a square without its upper right quarter."""
    u, v = torch.special.ndtr(z).T
    x = torch.where(u < 2 / 3, 0.75 * u, 0.5 + 1.5 * (u - 2 / 3))
    return torch.stack([x, v * torch.where(x < 0.5, 1.0, 0.5)], 1)


@LESSON.check
def fills() -> Check:
    """Shares of bent normal points in the L's three quarters, 100,000 draws, against thirds."""
    x, y = bent(Noise(22, 100_000).normal(2).double()).T
    inside = [(x < 0.5) & (y < 0.5), (x < 0.5) & (y > 0.5), (x > 0.5) & (y < 0.5)]
    return Check.of_mean(torch.stack(inside, 1).double().numpy(), np.full(3, 1 / 3))


def lengths() -> tuple[float, float]:
    """Mean lengths of ways between 500 pairs of points of the L: straight in z, and straight."""
    first, last = (Noise(seed, 500).normal(2).double() for seed in (23, 24))
    way = torch.stack([bent(torch.lerp(first, last, t)) for t in np.linspace(0, 1, 201)])
    walked = (way[1:] - way[:-1]).norm(dim=2).sum(0).mean()
    return float(walked), float((way[-1] - way[0]).norm(dim=1).mean())


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Of growing, of batches, of truncation, of styles."""
    found = {f"{name}_spread": value.mean() for name, value in spreads().items()}
    found["told"] = float((spreads()["one"][:, None] < spreads()["real"]).mean())
    found["told_half"] = float((spreads()["half"][:, None] < spreads()["real"]).mean())
    found["pixels"] = float(np.mean([4.0**-k for k in range(9)]))
    found |= {"seen_256": kinds_seen(1000, 256), "seen_2048": kinds_seen(1000, 2048)}
    for name, (precision, recall) in zip(
        ("least", "low", "", "one", "", "two", "all"), traded(), strict=True
    ):
        if name:
            found |= {f"precision_{name}": precision, f"recall_{name}": recall}
    found |= {f"variance_{name}": truncated_variance(b) for name, b in (("low", 0.5), ("one", 1.0))}
    found |= mixed()[1]
    walked, straight = lengths()
    found |= {"walked": walked, "straight": straight, "longer": walked / straight - 1}
    return found


@LESSON.figure
def distances(words: Words) -> Figure:
    """JS and W1 of two intervals by their shift."""
    plot, shift = Plot(words, x=("shift", "جابه‌جایی")), np.linspace(0, 2, 41)
    plot.line(shift, shift, ("W₁", "W₁"))
    plot.line(shift, [overlap(s) for s in shift], ("JS", "JS"))
    return Figure([plot])


@LESSON.figure
def growing(words: Words) -> Figure:
    """A digit while its finer pixels fade in."""
    plots = []
    for alpha in (0.0, 0.25, 0.5, 1.0):
        title = (f"alpha {alpha:g}", f"آلفا {words.number(alpha)}")
        plot = Plot(words, title=title, size=(1.6, 1.6), image=True)
        plot.image(faded(digits()[0][:1], alpha)[0, 0].numpy(), vmin=0, vmax=1)
        plots.append(plot)
    return Figure(plots, columns=4, small=True)


@LESSON.figure
def collapse(words: Words) -> Figure:
    """The number of minibatch standard deviation of three generators."""
    x = ("mean standard deviation of a batch", "میانگین انحراف معیار دسته")
    plot = Plot(words, x=x)
    labels: dict[str, Said] = {
        "real": ("real digits", "رقم‌های واقعی"),
        "half": ("half of them threes", "نیمی رقم ۳"),
        "one": ("threes alone", "تنها رقم ۳"),
    }
    edges = np.linspace(0.08, 0.29, 43)
    for name, label in labels.items():
        plot.bars(np.histogram(spreads()[name], bins=edges)[0], edges, label)
    return Figure([plot])


@LESSON.figure
def trade(words: Words) -> Figure:
    """Precision and recall by the bound."""
    plot = Plot(words, x=("truncation bound", "کران برش"))
    precision, recall = zip(*traded(), strict=True)
    plot.line(BOUNDS, precision, ("precision", "دقت"), marker="o", markersize=3)
    plot.line(BOUNDS, recall, ("recall", "بازیابی"), marker="o", markersize=3)
    return Figure([plot])


@LESSON.figure
def cut(words: Words) -> Figure:
    """Digits of the linear generator for three bounds."""
    plots = []
    for bound in (0.25, 1.0, 4.0):
        title = (f"bound {bound:g}", f"کران {words.number(bound)}")
        shown = Plot(words, title=title, size=(2.4, 2.4), image=True)
        made = nn.functional.pad(made_digits(bound)[:16].view(4, 4, 8, 8), (1, 1, 1, 1))
        rows = made.transpose(1, 2).reshape(40, 40)
        shown.image(rows.numpy(), vmin=0, vmax=1)
        plots.append(shown)
    return Figure(plots, columns=3, small=True)


@LESSON.figure
def mixtures(words: Words) -> Figure:
    """Places of the rows, textures of the columns, as far as fine styles give them."""
    order = [0, 5, 10, 15]
    made = mixed()[0][order][:, order]
    plot = Plot(words, size=(2.6, 2.6), image=True)
    padded = nn.functional.pad(made, (1, 1, 1, 1), value=1.0)[:, :, 0]
    plot.image(padded.transpose(1, 2).reshape(72, 72).numpy(), vmin=-1, vmax=1)
    return Figure([plot])


@LESSON.figure
def warped(words: Words) -> Figure:
    """Straight lines of z in the space of an L."""
    plot = Plot(words, x=("first factor", "عامل نخست"), y=("second factor", "عامل دوم"))
    along = torch.linspace(-3, 3, 301, dtype=torch.float64)
    for number in torch.linspace(-2, 2, 9, dtype=torch.float64):
        for axis in (0, 1):
            z = torch.stack([along, number.expand(301)], 1).roll(axis, 1)
            x, y = bent(z).T
            colour = ("#0072b2", "#d55e00")[axis]
            plot.line(x, y, colour=colour, linewidth=0.8)
    return Figure([plot])
