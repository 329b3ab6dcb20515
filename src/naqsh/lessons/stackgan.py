"""StackGAN: smooth conditions, a discriminator of pairs, and a problem cut in two."""

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import softplus

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.methods import stackgan as method
from naqsh.networks import stackgan
from naqsh.report.words import Words

LESSON = Lesson(
    "stackgan", number=8, questions=("stages", "conditioning", "matching", "training", "plain")
)

Numbers = NDArray[np.float64]


def layer(inputs: int, outputs: int, side: int) -> int:
    """Weights of a convolution and of the normalisation after it."""
    return inputs * outputs * side**2 + 2 * outputs


@LESSON.check
def weights() -> Check:
    """Of both generators of the paper's size, 64 and 256 pixels: counted, and by the formulas."""
    with torch.device("meta"):
        first = stackgan.StageOne((3, 64, 64), 1024, 100, 128, 128)
        second = stackgan.StageTwo((3, 64, 64), (3, 256, 256), 1024, 128, 128, 4)
    counted = [sum(w.numel() for w in network.parameters()) for network in (first, second)]
    told, flat = 256 * (1024 + 1), 1024 * 16
    one = told + (100 + 128) * flat + 2 * flat
    one += sum(layer(2 * c, c, 3) for c in (512, 256, 128, 64)) + 64 * 3 * 9
    two = told + 3 * 128 * 9 + layer(128, 256, 4) + layer(256, 512, 4) + layer(512 + 128, 512, 3)
    two += 4 * 2 * layer(512, 512, 3)
    two += sum(layer(2 * c, c, 3) for c in (256, 128, 64, 32)) + 32 * 3 * 9
    return Check(np.array(counted), np.array([one, two]), 0.0)


@functools.cache
def means() -> tuple[Tensor, Tensor]:
    """Mean and logarithm of the deviation of four conditions, (4, 3)."""
    noise = Noise(1, 4)
    return noise.normal(3), 0.4 * noise.normal(3)


@LESSON.check
def divergence() -> Check:
    """Naqsh's KL of conditions against PyTorch's, a mean over batch and dimensions."""
    mu, log_sigma = means()
    ours = float(stackgan.Condition(mu, mu, log_sigma).kl)
    known = kl_divergence(Normal(mu, log_sigma.exp()), Normal(0.0, 1.0)).mean()
    # A mean of twelve numbers of about 1 in float32.
    return Check(ours, float(known), 1e-6)


@LESSON.check
def divergence_of_draws() -> Check:
    """The same KL as the mean of ln q(c) - ln p(c) over 100,000 draws of the conditions."""
    mu, log_sigma = (x.double() for x in means())
    draws = mu + log_sigma.exp() * Noise(2, 100_000).normal(4, 3).double()
    ratio = Normal(mu, log_sigma.exp()).log_prob(draws) - Normal(0.0, 1.0).log_prob(draws)
    ours = float(stackgan.Condition(mu, mu, log_sigma).kl)
    return Check.of_mean(ratio.mean((1, 2)).numpy(), ours)


PLACES = torch.tensor([-2.0, -1.2, -0.9, 0.3, 1.0, 2.2], dtype=torch.float64)
WANTED = torch.tensor([1.0, 0.2, -0.8, 0.5, -0.3, 0.9], dtype=torch.float64)
"""Six captions on a line, and the one pixel that each one's image has."""


def averaged(c: Tensor, sigma: float) -> Tensor:
    """The best image of a condition: that of captions near it, weighted by their densities."""
    weights = (-((c[:, None] - PLACES) ** 2) / (2 * sigma**2)).softmax(1)
    return weights @ WANTED


@LESSON.check
def kernel_average() -> Check:
    """The best image leaves an error that no function of the condition tells: means are 0."""
    noise, sigma = Noise(3, 200_000), 0.4
    which = noise.integers(6)
    c = PLACES[which] + sigma * noise.normal(1)[:, 0].double()
    error = WANTED[which] - averaged(c, sigma)
    tests = torch.stack([torch.ones_like(c), c, c.sin(), (3 * c).cos()], 1)
    return Check.of_mean((error[:, None] * tests).numpy(), np.zeros(4))


@LESSON.check
def smoothed() -> Check:
    """The slope of a sharp step, seen through conditions' noise: draws against the density."""
    sigma, at = 0.5, torch.tensor([-0.6, 0.0, 0.3], dtype=torch.float64)
    noise = Noise(4, 200_000).normal(1).double()
    stepped = (at + sigma * noise > 0).double() * noise / sigma
    return Check.of_mean(stepped.numpy(), Normal(0.0, sigma).log_prob(at).exp().numpy())


def best_sigma(slope: float, weight: float) -> float:
    """The deviation at which a generator of that slope and the divergence lose the least."""
    return math.sqrt(weight / (weight + 2 * slope**2))


@LESSON.check
def deviations() -> Check:
    """That deviation by search over Naqsh's KL, for slopes 0 to 2, against the formula."""
    slopes, zero = (0.0, 0.3, 1.0, 2.0), torch.zeros(1, 1, dtype=torch.float64)

    def lost(log_sigma: float, slope: float) -> float:
        kl = stackgan.Condition(zero, zero, zero + log_sigma)
        # The KL is written for float32: its parts in float64 say the same with more digits.
        size = math.exp(2 * log_sigma)
        assert abs(float(kl.kl) - ((size - 1) / 2 - log_sigma)) < 1e-6 * max(1.0, size)
        return slope**2 * size + (size - 1) / 2 - log_sigma

    found = [minimize_scalar(lost, bounds=(-4, 1), args=(s,), method="bounded").x for s in slopes]
    said = [best_sigma(slope, 1.0) for slope in slopes]
    # The search stops within 1e-5 of the logarithm.
    return Check(np.exp(found), np.array(said), 3e-5)


@functools.cache
def judged() -> tuple[method.StageOne, Batch]:
    """Naqsh's stage I on images of 8x8, narrow, and a batch with right and wrong captions."""
    spec = method.Spec(latent=4, condition=4, text=4, width=4, critic_width=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stage = spec.build(Layout((1, 8, 8), caption=6))
    noise = Noise(5, 16)
    images, captions = noise.uniform(1, 8, 8) * 2 - 1, noise.normal(6)
    return stage, Batch(images, None, noise, captions, captions.roll(1, 0))


@LESSON.check
def three_kinds() -> Check:
    """Naqsh's loss of the discriminator against its formula, of scores of the three kinds."""
    stage, batch = judged()
    critic, captions, mismatched = stage.critic, batch.captions, batch.mismatched
    assert captions is not None
    assert mismatched is not None
    with torch.no_grad():
        # The noise's next draws are those of the images: twice the same from two equal blocks.
        ours = stage.critic_losses(batch, 0)["total"]
        fresh = Noise(5, 16)
        fresh.draws = 2
        fake = stage.make(fresh, captions)[0][-1]
        right = critic.judge(critic.features(batch.images), captions)
        wrong = critic.judge(critic.features(batch.images), mismatched)
        made = critic.judge(critic.features(fake), captions)
        said = -right.sigmoid().log().mean()
        said -= ((1 - wrong.sigmoid()).log().mean() + (1 - made.sigmoid()).log().mean()) / 2
    # Means of sixteen numbers in float32.
    return Check(float(ours), float(said), 1e-5)


RIGHT = torch.tensor([[0.3, 0.2, 0.3, 0.2], [0.2, 0.3, 0.2, 0.3]], dtype=torch.float64)
"""How likely each of four images is for either of two captions."""

ANY = RIGHT.mean(0).expand(2, 4)
"""The same of a wrong caption: an image of anyone's."""


def divergence_from(right: Tensor, other: Tensor) -> Tensor:
    """JS of pairs, both captions being as likely."""
    middle = (right + other) / 2
    parts = [torch.special.xlogy(x, x / middle) for x in (right, other)]
    total: Tensor = (parts[0] + parts[1]).sum() / 4
    return total


@LESSON.check
def best_of_pairs() -> Check:
    """The least loss over logits of pairs against 2 ln 2 - 2 JS(right, (wrong + fake) / 2)."""
    fake = torch.tensor([[0.4, 0.4, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]], dtype=torch.float64)
    logits = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12)

    def loss() -> Tensor:
        optimizer.zero_grad()
        negative = (ANY + fake) / 2 * softplus(logits)
        value = (RIGHT * softplus(-logits) + negative).sum() / 2
        value.backward()
        return value

    optimizer.step(loss)
    js = float(divergence_from(RIGHT, (ANY + fake) / 2))
    return Check(float(loss().detach()), 2 * math.log(2) - 2 * js, 1e-8)


@LESSON.check
def beyond_right() -> Check:
    """The fakes that the best discriminator of pairs likes best, by search: 2 p(x|t) - p(x)."""
    logits = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits],
        max_iter=500,
        tolerance_grad=1e-13,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = divergence_from(RIGHT, (ANY + logits.softmax(1)) / 2)
        value.backward()
        return value

    optimizer.step(loss)
    # Near its least JS is flat: it tells probabilities apart to the root of its rounding.
    return Check(logits.detach().softmax(1).numpy(), (2 * RIGHT - ANY).numpy(), 1e-6)


@LESSON.check
def alone() -> Check:
    """Images of stage I in evaluation mode: in a batch of four, and each by itself."""
    stage, batch = judged()
    assert batch.captions is not None
    stage.generator.eval()
    noise, captions = Noise(6, 4), batch.captions[:4]
    with torch.no_grad():
        together = stage.make(noise, captions)[0][-1]
        each = [
            stage.make(Noise(6, 4).part(row, 1), captions[row : row + 1])[0][-1] for row in range(4)
        ]
    stage.generator.train()
    return Check(together.numpy(), torch.cat(each).numpy(), 1e-6)


def in_company() -> float:
    """How far an untrained stage I in training mode moves an image where its neighbours change.

    In parts of the mean deviation of a pixel over 16 images.
    """
    stage, batch = judged()
    captions = batch.captions
    assert captions is not None
    with torch.no_grad():
        pairs = [
            stage.make(Noise(7, 4), torch.cat([captions[:1], captions[few : few + 3]]))[0][-1][0]
            for few in (1, 8)
        ]
        images = stage.make(Noise(7, 16), captions)[0][-1]
    return float((pairs[0] - pairs[1]).abs().mean() / images.std(0).mean())


@LESSON.check
def parted() -> Check:
    """KL of pairs (small image, details): at once, and as that of the small plus the details'."""
    p, q = (Noise(seed, 1).uniform(3, 4).double()[0] for seed in (8, 9))
    p, q = p / p.sum(), q / q.sum()
    whole = (p * (p / q).log()).sum()
    small = [x.sum(1) for x in (p, q)]
    of_small = (small[0] * (small[0] / small[1]).log()).sum()
    details = [x / s[:, None] for x, s in zip((p, q), small, strict=True)]
    of_details = (p * (details[0] / details[1]).log()).sum()
    return Check(float(whole), float(of_small + of_details), 1e-12)


LINE = torch.linspace(-4, 4, 1601, dtype=torch.float64)


@functools.cache
def beyond() -> tuple[Tensor, Tensor, Tensor]:
    """Densities on LINE of images right for one of two captions, of all, and of the best fakes.

    Images of the captions are N(0.5, 0.5^2) and N(-0.5, 0.5^2). The best fakes have
    max(0, 2 k p(x|t) - p(x)), with k so that this is a density.
    """
    right, other = (Normal(mean, 0.5).log_prob(LINE).exp() for mean in (0.5, -0.5))
    every = (right + other) / 2
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        best = (2 * middle * right - every).clamp(min=0)
        low, high = (middle, high) if float(torch.trapezoid(best, LINE)) < 1 else (low, middle)
    return right, every, best


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Of conditions, of fakes beyond the right ones, and of neighbours in a batch."""
    right, _, best = beyond()
    found = {
        f"mean_{n}": float(torch.trapezoid(LINE * d, LINE))
        for n, d in (("right", right), ("best", best))
    }
    found["in_company"] = in_company()
    found |= {
        f"sigma_{name}": best_sigma(slope, 1.0) for name, slope in (("low", 0.3), ("high", 2.0))
    }
    found["weight"] = 2 / 128
    return found


@LESSON.figure
def smooth(words: Words) -> Figure:
    """The best images of conditions for three deviations, and the six captions."""
    plot, line = Plot(words, x=("condition", "شرط")), torch.linspace(-3, 3, 301).double()
    for sigma in (0.02, 0.3, 1.0):
        label = (f"deviation {sigma:g}", f"انحراف {words.number(sigma)}")
        plot.line(line.numpy(), averaged(line, sigma).numpy(), label)
    plot.points(PLACES.numpy(), WANTED.numpy(), ("captions", "جمله‌ها"))
    return Figure([plot])


@LESSON.figure
def deviation(words: Words) -> Figure:
    """The best deviation by the generator's slope, for three weights."""
    slope = np.linspace(0, 3, 61)
    x, y = ("slope of the generator", "شیب مولد"), ("best deviation", "بهترین انحراف")
    plot = Plot(words, x=x, y=y)
    for weight in (0.1, 1.0, 10.0):
        label = (f"lambda {weight:g}", f"لامبدا {words.number(weight)}")
        plot.line(slope, [best_sigma(s, weight) for s in slope], label)
    return Figure([plot])


@LESSON.figure
def overshoot(words: Words) -> Figure:
    """Right images of a caption, images of any caption, and the fakes that wrong pairs ask for."""
    plot, shown = Plot(words, x=("x", "x")), LINE.abs() < 2.6
    right, every, best = (density[shown].numpy() for density in beyond())
    x = LINE[shown].numpy()
    plot.line(x, right, ("right images", "تصاویر درست"))
    plot.line(x, every, ("images of any caption", "تصاویر هر جمله"))
    plot.line(x, best, ("best fakes", "بهترین ساختگی‌ها"), dash="--")
    return Figure([plot])
