"""Latent diffusion: what pixels cost, what the autoencoder is for, and how attention tells."""

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import interpolate, pad
from torch.utils.flop_counter import FlopCounterMode

from naqsh import recipes
from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Shape
from naqsh.data import digits
from naqsh.diffusion.method import DenoisingSpec
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.schedule import Linear
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.lessons.small_latents import COUNT, SPEC, decoded, images, information, trained
from naqsh.metrics import frechet_distance_features
from naqsh.metrics.classifier import shipped
from naqsh.networks.attention import Attention, CrossAttention
from naqsh.networks.unet_blocks import ResidualBlock, SelfAttention
from naqsh.report.words import Words

LESSON = Lesson("latent-diffusion", number=16, questions=("cost", "autoencoder", "attention"))

WIDTH = 128
"""Channels of the layers that are counted."""

SIDES = (4, 8, 16, 32, 64, 128, 256)


def multiplications(network: nn.Module, *given: Tensor) -> int:
    """What PyTorch counts in one pass of a network on the meta device."""
    with FlopCounterMode(display=False) as counter:
        network(*given)
    return int(counter.get_total_flops()) // 2


def counted(kind: type[ResidualBlock] | type[SelfAttention]) -> list[int]:
    """Multiplications of a layer of WIDTH channels at each side."""
    with torch.device("meta"):
        layer = ResidualBlock(WIDTH, WIDTH) if kind is ResidualBlock else SelfAttention(WIDTH)
        return [multiplications(layer, torch.zeros(1, WIDTH, side, side)) for side in SIDES]


@LESSON.check
def block_cost() -> Check:
    """Multiplications of Naqsh's residual block, as PyTorch counts them, against 18 N C^2."""
    said = [18 * side**2 * WIDTH**2 for side in SIDES]
    return Check(counted(ResidualBlock), said, 0)


@LESSON.check
def attention_cost() -> Check:
    """The same of Naqsh's self-attention against 4 N C^2 + 2 N^2 C."""
    said = [4 * side**2 * WIDTH**2 + 2 * side**4 * WIDTH for side in SIDES]
    return Check(counted(SelfAttention), said, 0)


def of_recipe(name: str, space: Shape) -> int:
    """Multiplications of one evaluation of a recipe's network on one x0 with shape (C, H, W)."""
    spec = recipes.by_name(name).method
    assert isinstance(spec, DenoisingSpec)
    with torch.device("meta"):
        network = spec.make_network(space, 0)
        return multiplications(network, torch.zeros(1, *space), torch.zeros(1))


@functools.cache
def components() -> tuple[Tensor, Tensor, Tensor]:
    """Centred digits (N, 64), the variances along their principal axes, falling, and the axes."""
    table = images().flatten(1).double()
    table = table - table.mean(0)
    values, axes = torch.linalg.eigh(table.T @ table / len(table))
    return table, values.flip(0).clamp(min=0), axes.flip(1)


@LESSON.check
def left_out() -> Check:
    """Mean square error of digits from their first k components against the variances left out."""
    table, values, axes = components()
    errors = [
        float((table - table @ axes[:, :k] @ axes[:, :k].T).square().sum(1).mean())
        for k in range(65)
    ]
    return Check(errors, [float(values[k:].sum()) for k in range(65)], 1e-9)


@LESSON.check
def losses() -> Check:
    """Naqsh's loss of an autoencoder against error + weight * mean KL by PyTorch's formulas."""
    method, x = trained().autoencoder, images()[:64]
    ours = method.losses(Batch(x, None, Noise(1, 64)), 0)["total"]
    mean, log_variance = method.posterior(x)
    assert log_variance is not None
    q = Normal(mean, (log_variance / 2).exp())
    made = method.decoder(q.mean + q.stddev * Noise(1, 64).normal(*method.space))
    kl = kl_divergence(q, Normal(0.0, 1.0)).mean()
    # Means of some thousand numbers of order 1 in float32.
    return Check(float(ours), float((made - x).abs().mean() + SPEC.kl * kl), 1e-5)


MEANS = torch.tensor([-1.6, -0.2, 0.3, 1.9], dtype=torch.float64)
SPREADS = torch.tensor([0.3, 0.5, 0.2, 0.4], dtype=torch.float64)
"""Four images and their posteriors on a line."""


def parts() -> tuple[float, float]:
    """The information that z has of x, and KL(q(z) || p(z)), by quadrature."""
    z = torch.linspace(-9, 9, 36_001, dtype=torch.float64)[:, None]
    each = Normal(MEANS, SPREADS).log_prob(z)
    together = each.logsumexp(1, keepdim=True) - math.log(4)
    told = torch.trapezoid(each.exp() * (each - together), z, dim=0).mean()
    prior = Normal(torch.zeros(()).double(), 1.0).log_prob(z)
    away = torch.trapezoid(together.exp() * (together - prior), z, dim=0)
    return float(told), float(away)


@LESSON.check
def decomposition() -> Check:
    """The mean KL of four posteriors in closed form against the two parts by quadrature."""
    kl = (MEANS**2 + SPREADS**2 - 1 - 2 * SPREADS.log()) / 2
    return Check(float(kl.mean()), sum(parts()), 1e-8)


@LESSON.check
def brought_to_one() -> Check:
    """What Naqsh subtracts and divides by, of each channel, against NumPy's mean and deviation."""
    method = trained().diffusion
    codes = trained().autoencoder.encode(images()).double().numpy()
    taken = torch.cat([method.mean.flatten(), method.deviation.flatten()])
    axes = (0, 2, 3)
    said = np.concatenate([codes.mean(axes), codes.std(axes)])
    # They are kept in float32.
    return Check(taken.numpy(), said, 1e-5)


SCALE = 5.0
SCHEDULE = Linear()


@LESSON.check
def scale_is_noise() -> Check:
    """Clean guesses of data SCALE times as wide: by Naqsh's mixture, and from the data itself."""
    plain = Mixture(SCHEDULE, [(-1.0,), (1.0,)], [0.2, 0.2], [0.7, 0.3])
    wide = Mixture(SCHEDULE, [(-SCALE,), (SCALE,)], [0.2 * SCALE] * 2, [0.7, 0.3])
    x = torch.linspace(-8, 8, 81, dtype=torch.float64).view(-1, 1, 1, 1)
    left, right = [], []
    for t in (300.0, 600.0, 900.0):
        other = float(SCHEDULE.time(SCHEDULE.log_snr(torch.tensor(t)) + 2 * math.log(SCALE)))
        alpha, alpha_other = float(SCHEDULE(t)[0]), float(SCHEDULE(other)[0])
        left.append(wide(x, t).x0)
        right.append(SCALE * plain(alpha_other / alpha * x / SCALE, other).x0)
    # Times between whole ones are interpolated alike both ways.
    return Check(torch.cat(left).flatten().numpy(), torch.cat(right).flatten().numpy(), 1e-9)


@LESSON.check
def products() -> Check:
    """Squares of q k / sqrt(d) of 20,000 standard normal pairs, d = 4, 64, against 1."""
    squares = [
        (noise[:, 0] * noise[:, 1]).sum(1).square() / d
        for d in (4, 64)
        for noise in [Noise(d, 20_000).normal(2, d).double()]
    ]
    return Check.of_mean(torch.stack(squares, 1).numpy(), 1.0)


@functools.cache
def attention() -> tuple[Attention, Tensor, Tensor]:
    """Naqsh's attention of 9 positions on 5 tokens with two heads, and both tables."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = Attention(8, 6, 2).double().requires_grad_(False)
    noise = Noise(5, 2)
    return layer, noise.normal(9, 8).double(), 3 * noise.normal(5, 6).double()


@LESSON.check
def weighted_means() -> Check:
    """Naqsh's attention against the formula, one position and one head at a time."""
    layer, rows, tokens = attention()
    out = torch.zeros_like(rows)
    for n in range(2):
        q, k, v = layer.query(rows[n]), layer.key(tokens[n]), layer.value(tokens[n])
        for position in range(9):
            for part in (slice(0, 4), slice(4, 8)):
                raw = (k[:, part] @ q[position, part] / 2).exp()
                out[n, position, part] = (raw / raw.sum()) @ v[:, part]
    return Check(layer(rows, tokens).numpy(), layer.projection(out).numpy(), 1e-12)


@LESSON.check
def tokens_have_no_order() -> Check:
    """Attention on tokens against attention on the same ones the other way round."""
    layer, rows, tokens = attention()
    return Check(layer(rows, tokens).numpy(), layer(rows, tokens.flip(1)).numpy(), 1e-12)


@LESSON.check
def one_token() -> Check:
    """Attention on a single token against that token's value, wherever one looks from."""
    layer, rows, tokens = attention()
    said = layer.projection(layer.value(tokens[:, :1])).expand(-1, 9, -1)
    return Check(layer(rows, tokens[:, :1]).numpy(), said.numpy(), 1e-12)


@LESSON.check
def nothing_at_first() -> Check:
    """A fresh block of Naqsh's with cross-attention against what goes in."""
    x, tokens = Noise(6, 2).normal(8, 3, 3), Noise(7, 2).normal(4, 6)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return Check(CrossAttention(8, 6, 2)(x, tokens).numpy(), x.numpy(), 0)


def levels(x: Tensor) -> Tensor:
    """Images (N, 1, 8, 8) in [0, 1] as the package's classifier of 16x16 digits takes them."""
    return interpolate(x, size=16, mode="bilinear").mul(255).round().to(torch.uint8)


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Costs, components, and what was decoded."""
    pixels, small = of_recipe("ddpm-mnist", (1, 28, 28)), of_recipe("ldm-mnist", (4, 7, 7))
    found = {"pixels": pixels / 1e6, "latents": small / 1e6, "cheaper": pixels / small}
    attending, blocks = counted(SelfAttention), counted(ResidualBlock)
    for side in (16, 64, 256):
        place = SIDES.index(side)
        found[f"attending_{side}"] = attending[place] / blocks[place]
    _, values, _ = components()
    shares = (values.cumsum(0) / values.sum()).tolist()
    found |= {f"share_{k}": shares[k - 1] for k in (8, 16, 32)}
    found |= dict(zip(("told", "away"), parts(), strict=True))
    found |= dict(zip(("kl", "dependence"), information(), strict=True))
    judge = shipped("digits")
    real = judge(levels(images("train").add(1).div(2)))
    for name, x in decoded().items():
        found[name] = frechet_distance_features(judge(levels(x)), real)
    asked = torch.arange(COUNT) % 10
    for name in ("diffusion", "guided"):
        said = judge.probabilities(levels(decoded()[name])).argmax(1)
        found[f"right_{name}"] = float((said == asked).double().mean())
    truth = torch.from_numpy(digits.read("test")[1])[:COUNT]
    said = judge.probabilities(levels(decoded()["real"])).argmax(1)
    found["right_real"] = float((said == truth).double().mean())
    mean, log_variance = trained().autoencoder.posterior(images())
    assert log_variance is not None
    found["second"] = float((mean.square() + log_variance.exp()).mean())
    return found | {"tested": len(truth)}


@LESSON.figure
def cost(words: Words) -> Figure:
    """Multiplications of two layers by the side of the image."""
    y = ("multiplications, millions", "ضرب‌ها، میلیون")
    plot = Plot(words, x=("side of the image", "ضلع تصویر"), y=y, log="xy")
    kinds = (
        (ResidualBlock, ("residual block", "بلوک باقی‌مانده‌ای")),
        (SelfAttention, ("self-attention", "خودتوجهی")),
    )
    for kind, label in kinds:
        millions = np.array(counted(kind)) / 1e6
        plot.line(SIDES, millions, label, marker="o", markersize=3)
    return Figure([plot])


@LESSON.figure
def kept(words: Words) -> Figure:
    """How much of the digits' variance is lost by the number of components kept."""
    x, y = (
        ("components kept", "مؤلفه‌های نگه‌داشته"),
        ("variance lost, share", "سهم واریانس از دست رفته"),
    )
    plot = Plot(words, x=x, y=y, log="y")
    _, values, _ = components()
    lost: NDArray[np.float64] = 1 - (values.cumsum(0) / values.sum()).numpy()
    plot.line(np.arange(1, 61), lost[:60])
    return Figure([plot])


@LESSON.figure
def samples(words: Words) -> Figure:
    """Digits, and what the decoder makes of latents from several sources."""
    titles = {
        "real": ("test digits", "رقم‌های آزمون"),
        "again": ("their reconstructions", "بازسازی آن‌ها"),
        "prior": ("from N(0, I)", "از توزیع N(0, I)"),
        "normal": ("from a fitted normal", "از نرمال برازش‌شده"),
        "diffusion": ("latent diffusion", "پخش در فضای نهان"),
        "guided": ("guidance 2", "هدایت ۲"),
    }
    plots = []
    for name, title in titles.items():
        plot = Plot(words, title=title, image=True, size=(4.2, 0.9))
        apart = pad(decoded()[name][:20], (1, 1, 1, 1), value=0.35)
        lines = apart.view(2, 10, 10, 10).permute(0, 2, 1, 3).reshape(20, 100)
        plot.image(lines.numpy(), vmin=0, vmax=1)
        plots.append(plot)
    return Figure(plots, columns=2)
