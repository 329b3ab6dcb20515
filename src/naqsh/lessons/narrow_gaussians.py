"""KL, JS and Wasserstein distance of two narrow Gaussians. The maths stands in the texts."""

import math

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_ndtr, ndtr
from torch import Tensor

from naqsh.adversarial.objectives import OBJECTIVES, ObjectiveName
from naqsh.core.noise import Noise
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot, Said
from naqsh.report.draw.palette import INK
from naqsh.report.words import Words

LESSON = Lesson("narrow-gaussians", number=3, questions=("kl", "js", "wasserstein", "gans"))

REAL, FAKE, WIDTH = 0.0, 1.0, 0.5
"""theta_0, theta and epsilon wherever an identity is checked at one place."""

ROUNDING = 1e-9
"""Of quadrature: the trapezoid rule's error for these integrands is below it by orders."""


def log_normal(x: Tensor, mean: Tensor | float, width: float) -> Tensor:
    """Log-density of N(mean, width^2)."""
    return -(((x - mean) / width) ** 2) / 2 - math.log(width * math.sqrt(2 * math.pi))


def line(width: float, gap: float = FAKE - REAL) -> Tensor:
    """Points for the trapezoid rule: a fiftieth of the width apart, twelve widths beyond both."""
    ends = REAL - 12 * width, REAL + gap + 12 * width
    count = 1 + math.ceil((ends[1] - ends[0]) / (width / 50))
    return torch.linspace(*ends, count, dtype=torch.float64)


def divergences(theta: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """KL(P || Q) and JS(P, Q) by quadrature of their definitions; differentiable in theta."""
    x = line(width, float(theta.detach()) - REAL)
    p, q = log_normal(x, REAL, width), log_normal(x, theta, width)
    middle = torch.logaddexp(p, q) - math.log(2)
    kl = torch.trapezoid(p.exp() * (p - q), x)
    js = torch.trapezoid(p.exp() * (p - middle) + q.exp() * (q - middle), x) / 2
    return kl, js


def slopes(width: float) -> tuple[float, float]:
    """Derivatives of KL and JS by theta: autograd through the quadrature."""
    theta = torch.tensor(FAKE, dtype=torch.float64, requires_grad=True)
    kl, js = divergences(theta, width)
    (of_kl,) = torch.autograd.grad(kl, theta, retain_graph=True)
    (of_js,) = torch.autograd.grad(js, theta)
    return float(of_kl), float(of_js)


def js_missing(a: float) -> float:
    """ln 2 - JS, the expectation of ln(1 + exp(-2 a u)) for u ~ N(a, 1)."""
    u = np.linspace(-a - 40, a + 40, 20_001)
    logs = -((u - a) ** 2) / 2 + np.log(np.maximum(np.logaddexp(0, -2 * a * u), 1e-300))
    return float(np.trapezoid(np.exp(logs), u) / math.sqrt(2 * math.pi))


def js_slope(a: float, width: float) -> float:
    """The derivative of JS, (a / eps) E sigma(-2 a u): right where JS itself is ln 2 in float64."""
    u = np.linspace(-40, 40, 20_001)
    # phi(u - a) sigma(-2 a u) in logarithms, written so that both tails are symmetric
    logs = -(u**2 + a**2) / 2 - np.logaddexp(a * u, -a * u)
    return a / width * float(np.trapezoid(np.exp(logs), u) / math.sqrt(2 * math.pi))


def half(width: float) -> float:
    """Half of the gap, in standard deviations."""
    return (FAKE - REAL) / (2 * width)


@LESSON.check
def kl() -> Check:
    """KL: (theta - theta_0)^2 / 2 eps^2 against quadrature of the definition."""
    closed = (FAKE - REAL) ** 2 / (2 * WIDTH**2)
    return Check(closed, float(divergences(torch.tensor(FAKE).double(), WIDTH)[0]), ROUNDING)


@LESSON.check
def kl_slope() -> Check:
    """Its derivative (theta - theta_0) / eps^2 against autograd through the quadrature."""
    return Check((FAKE - REAL) / WIDTH**2, slopes(WIDTH)[0], ROUNDING)


@LESSON.check
def js() -> Check:
    """JS: ln 2 - E ln(1 + exp(-2 a u)) against quadrature of the two KLs from the middle."""
    reduced = math.log(2) - js_missing(half(WIDTH))
    return Check(reduced, float(divergences(torch.tensor(FAKE).double(), WIDTH)[1]), ROUNDING)


@LESSON.check
def js_derivative() -> Check:
    """The derivative of JS: (a / eps) E sigma(-2 a u) against autograd through the quadrature."""
    return Check(js_slope(half(WIDTH), WIDTH), slopes(WIDTH)[1], ROUNDING)


def log_bounds(width: float) -> tuple[float, float]:
    """Logarithms of the two bounds of the derivative of JS."""
    lower = math.log(half(width) / width) + float(log_ndtr(-half(width)))
    return lower, lower + math.log(2)


@LESSON.check
def js_bounds() -> Check:
    """The derivative of JS, its logarithm, lies between both bounds at six widths."""
    widths = (2.0, 1.0, 0.5, 0.2, 0.1, 0.05)
    found = np.log([js_slope(half(width), width) for width in widths])
    low, high = np.transpose([log_bounds(width) for width in widths])
    return Check(found, np.clip(found, low, high), 0.0)


@LESSON.check
def w1() -> Check:
    """W1: the gap, which the shift costs, against the area between the distribution functions."""
    x = line(WIDTH)
    area = torch.trapezoid(
        (torch.special.ndtr((x - REAL) / WIDTH) - torch.special.ndtr((x - FAKE) / WIDTH)).abs(), x
    )
    return Check(abs(FAKE - REAL), float(area), ROUNDING)


@LESSON.check
def w1_dual() -> Check:
    """W1 from below: the critic f(x) = -x through Naqsh's Wasserstein loss, on samples."""
    real, fake = samples()
    loss = OBJECTIVES["wasserstein"].critic(-real, -fake)
    return Check(abs(FAKE - REAL), -float(loss), 4 * WIDTH * math.sqrt(2 / len(real)))


def samples(count: int = 400_000) -> tuple[Tensor, Tensor]:
    """Independent points of P and of Q, each with shape (count,)."""
    noise = Noise(3, count)
    z = noise.normal(2).double()
    return REAL + WIDTH * z[:, 0], FAKE + WIDTH * z[:, 1]


def logit(x: Tensor) -> Tensor:
    """The best discriminator's logit ln p/q; it stands still while the generator moves."""
    return log_normal(x, REAL, WIDTH) - log_normal(x, FAKE, WIDTH)


def generator_slope(objective: ObjectiveName) -> tuple[float, float]:
    """Derivative by theta of a generator's loss against the best D, and its standard error."""
    _, fake = samples()
    fake = fake.detach().requires_grad_()
    loss = OBJECTIVES[objective].generator(None, logit(fake))
    (each,) = torch.autograd.grad(loss, fake)
    each = each * len(fake)  # G(z) = theta + eps z moves with theta one to one
    return float(each.mean()), float(each.std()) / math.sqrt(len(fake))


@LESSON.check
def minimax_slope() -> Check:
    """The minimax generator's gradient is twice that of JS: samples against the formula."""
    found, error = generator_slope("minimax")
    return Check(2 * js_slope(half(WIDTH), WIDTH), found, 4 * error)


@LESSON.check
def non_saturating_slope() -> Check:
    """The non-saturating gradient is that of KL(Q || P) - 2 JS: samples against the formula."""
    found, error = generator_slope("non-saturating")
    right = (FAKE - REAL) / WIDTH**2 - 2 * js_slope(half(WIDTH), WIDTH)
    return Check(right, found, 4 * error)


@LESSON.numbers
def numbers() -> dict[str, float]:
    """The three distances and their derivatives at falling widths."""
    found: dict[str, float] = {"gap": FAKE - REAL, "width": WIDTH, "ln2": math.log(2)}
    for key, width in (("1", 1.0), ("05", 0.5), ("02", 0.2), ("01", 0.1), ("005", 0.05)):
        found[f"eps_{key}"] = width
        found[f"kl_{key}"] = (FAKE - REAL) ** 2 / (2 * width**2)
        found[f"dkl_{key}"] = (FAKE - REAL) / width**2
        found[f"missing_{key}"] = js_missing(half(width))
        found[f"djs_{key}"] = js_slope(half(width), width)
        found[f"tv_{key}"] = float(2 * ndtr(half(width)) - 1)
        found[f"dns_{key}"] = found[f"dkl_{key}"] - 2 * found[f"djs_{key}"]
    noisy = math.hypot(0.05, WIDTH)
    found["noise"] = WIDTH
    found["djs_noise"] = js_slope(half(noisy), noisy)
    return found


@LESSON.figure
def distances(words: Words) -> Figure:
    """The three distances over theta, for three widths."""
    names: tuple[Said, ...] = (
        ("KL divergence", "واگرایی KL"),
        ("JS divergence", "واگرایی JS"),
        ("Wasserstein distance", "فاصله‌ی واسرشتاین"),
    )
    plots = [Plot(words, x=("θ − θ₀", "θ − θ₀"), title=title) for title in names]
    gaps = np.linspace(-2, 2, 201)
    for width, dash in ((0.5, "-"), (0.2, "--"), (0.05, ":")):
        label = f"ε = {words.local(str(width))}"
        halves = np.abs(gaps) / (2 * width)
        values: tuple[npt.ArrayLike, ...] = (
            gaps**2 / (2 * width**2),
            [math.log(2) - js_missing(a) for a in halves],
            np.abs(gaps),
        )
        for plot, y in zip(plots, values, strict=True):
            plot.line(gaps, y, (label, label), dash=dash)
    plots[0].axes.set_ylim(0, 10)
    plots[1].axes.axhline(math.log(2), color=INK, linewidth=0.7, linestyle=":")
    return Figure(plots, columns=3, small=True)


@LESSON.figure
def gradients(words: Words) -> Figure:
    """What each distance tells a generator, over the width."""
    y = ("gradient at θ − θ₀ = 1", "گرادیان در θ − θ₀ = ۱")
    plot = Plot(words, x=("width ε", "پهنا ε"), y=y, log="xy")
    widths = np.geomspace(0.04, 2, 80)
    js_gradient = np.array([js_slope(half(width), width) for width in widths])
    kl_gradient = (FAKE - REAL) / widths**2
    plot.line(widths, kl_gradient, ("KL", "KL"))
    plot.line(widths, js_gradient, ("JS", "JS"))
    plot.line(widths, np.ones_like(widths), ("Wasserstein", "واسرشتاین"))
    non_saturating = kl_gradient - 2 * js_gradient
    label = ("non-saturating loss", "تابع زیان اشباع‌ناپذیر")
    plot.line(widths, non_saturating, label, dash="--")
    plot.axes.set_ylim(1e-12, 1e4)
    return Figure([plot])
