"""CycleGAN: what a cycle forbids and what it leaves open, patches, the pool, and large changes."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from naqsh.adversarial.objectives import OBJECTIVES
from naqsh.core.noise import Noise
from naqsh.lessons import translators
from naqsh.lessons.circle_to_square import measured, translated
from naqsh.lessons.cycles import (
    POOL,
    SIGMA,
    ages,
    digits,
    gaussians,
    growth,
    least_moved,
    return_error,
    trade,
    turning,
)
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot, Said
from naqsh.networks import patchgan, pix2pix_unet, resnet
from naqsh.report.draw import palette
from naqsh.report.words import Words

LESSON = Lesson(
    "cyclegan",
    number=23,
    questions=(
        "pairs",
        "cycle",
        "loss",
        "identity",
        "generators",
        "pix2pix",
        "patchgan",
        "pool",
        "geometry",
    ),
)


LEAST_SQUARES = OBJECTIVES["least-squares"]
ROUNDING = 1e-10


@LESSON.check
def every_turn_fits() -> Check:
    """Mean and covariance of G(a), with five turns inside of G, against those of B."""
    mean_a, factor_a, mean_b, factor_b = gaussians()
    found = []
    for angle in (0.0, 0.5, 1.0, 2.0, 3.0):
        linear = factor_b @ turning(angle) @ np.linalg.inv(factor_a)
        shift = mean_b - linear @ mean_a
        covariance = linear @ factor_a @ factor_a.T @ linear.T
        found.append([*(linear @ mean_a + shift), *covariance.ravel()])
    said = [*mean_b, *(factor_b @ factor_b.T).ravel()]
    return Check(np.array(found), np.array(said), ROUNDING)


@LESSON.check
def at_random() -> Check:
    """The constant of least L1 loss to 2,001 images of B, by search, against their median."""
    b = np.exp(Noise(1, 2001).normal(1).double().numpy()[:, 0])
    best = minimize_scalar(lambda c: np.abs(b - c).mean(), bracket=(0, 2), tol=1e-10)
    # The loss has a kink at the median and slopes of at least 1 / 2001 beside it.
    return Check(float(best.x), float(np.median(b)), 1e-6)


@LESSON.check
def folded() -> Check:
    """The least way-back error of x -> kx mod 1, k = 2 to 5: 200,000 draws against the formula."""
    x = Noise(2, 200_000).uniform().double().numpy()
    errors, said = [], []
    for k in range(2, 6):
        y = k * x % 1
        # What y leaves open is which of k places: the median of them errs least.
        errors.append(np.abs(x - (y + (k - 1) // 2) / k))
        said.append((k * k // 4) / k**2)
    return Check.of_mean(np.stack(errors, 1), np.array(said))


@LESSON.check
def whole_loss() -> Check:
    """Naqsh's losses of both phases against the formulas, written out."""
    model, seen = translators.pair(), translators.batch()
    a, b = seen.images, seen.second
    to_b, to_a, critic_a, critic_b = (
        *(model.generators[name] for name in "ba"),
        *(model.critics[name] for name in "ab"),
    )
    ours = [model.generator_losses(seen, 0)["total"], model.critic_losses(seen, 0)["total"]]

    def off(scores: Tensor, wanted: float) -> Tensor:
        return ((scores - wanted) ** 2).mean()

    fake_b, fake_a = to_b(a), to_a(b)
    made = off(critic_b(fake_b), 1) + off(critic_a(fake_a), 1)
    made = made + 10 * ((to_a(fake_b) - a).abs().mean() + (to_b(fake_a) - b).abs().mean())
    made = made + 5 * ((to_b(b) - b).abs().mean() + (to_a(a) - a).abs().mean())
    told = off(critic_b(b), 1) + off(critic_b(fake_b), 0)
    told = (told + off(critic_a(a), 1) + off(critic_a(fake_a), 0)) / 2
    # Sums of about a hundred numbers in float32.
    return Check(
        torch.stack(ours).detach().numpy(), torch.stack([made, told]).detach().numpy(), 1e-5
    )


@LESSON.check
def best_scores() -> Check:
    """The least of Naqsh's least-squares loss over scores, on six places: 1/4 - Delta / 8."""
    p, q = torch.tensor([1, 2, 6, 5, 4, 2]), torch.tensor([6, 2, 1, 5, 2, 4])
    of_real, of_fake = (torch.arange(6).repeat_interleave(n) for n in (p, q))
    scores = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=100, tolerance_grad=1e-12)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = LEAST_SQUARES.critic(scores[of_real], scores[of_fake])
        value.backward()
        return value

    optimizer.step(loss)
    p, q = p.double() / 20, q.double() / 20
    delta = float(((p - q) ** 2 / (p + q)).sum())
    return Check(float(loss().detach()), 1 / 4 - delta / 8, 1e-9)


@LESSON.check
def hidden() -> Check:
    """What least squares recovers of a hidden message, for three sizes, against the formula."""
    noise = Noise(7, 50_000)
    message, disturbance = noise.normal(2).double().numpy().T
    errors, sizes = [], (0.005, 0.02, 0.08)
    for epsilon in sizes:
        seen = epsilon * message + SIGMA * disturbance
        errors.append((message - seen * (seen @ message) / (seen @ seen)) ** 2)
    return Check.of_mean(np.stack(errors, 1), np.array([return_error(e) for e in sizes]))


@LESSON.check
def chosen_size() -> Check:
    """The size at which both losses sum to the least, by search, against its formula."""
    weights = (0.01, 0.1, 1.0, 10.0)
    found = [
        minimize_scalar(
            trade, bounds=(1e-4, 1), args=(w,), method="bounded", options={"xatol": 1e-9}
        ).x
        for w in weights
    ]
    said = np.sqrt(SIGMA * np.sqrt(weights) - SIGMA**2)
    # Around its least the sum is flat: rounding, 1e-16 of it, hides sizes closer than 1e-7.
    return Check(np.array(found), said, 1e-6)


@LESSON.check
def inverted() -> Check:
    """All losses but the identity's, before and after both networks invert what is B's."""
    losses = []
    for sign in (1.0, -1.0):
        model, seen = translators.pair(), translators.batch(symmetric=True)
        last = list(model.generators["b"].children())[-2]  # tanh after it is odd
        first = [list(model.generators["a"].children())[1], next(model.critics["b"].children())]
        with torch.no_grad():
            for weights in (*last.parameters(), *(next(layer.parameters()) for layer in first)):
                weights.mul_(sign)
            made = model.generator_losses(seen, 0)
        losses.append([float(made[name]) for name in ("to_b", "to_a", "cycle")])
    # Means of hundreds of numbers in float32, summed in another order.
    return Check(np.array(losses[0]), np.array(losses[1]), 1e-5)


@LESSON.check
def least_change() -> Check:
    """Of all turns inside of G the one that moves least, against Naqsh's Frechet distance."""
    # The search stops within 1e-5 of the angle, where the cosine has risen by 1e-10 of its size.
    return Check(least_moved()[0], least_moved()[2], 1e-8)


@LESSON.check
def parameters() -> Check:
    """Of the ResNets, a patch discriminator and pix2pix's U-Net, counted and by the formulas."""
    with torch.device("meta"):
        networks: list[nn.Module] = [resnet.generator(3, 3, blocks=n) for n in (6, 9)]
        networks += [patchgan.discriminator((3, 256, 256)), pix2pix_unet.Generator(3, 3)]
    counted = [sum(w.numel() for w in network.parameters()) for network in networks]
    said = [translators.resnet(6), translators.resnet(9), translators.critic(), translators.unet()]
    return Check(np.array(counted), np.array(said), 0.0)


@LESSON.check
def patches() -> Check:
    """Pixels in a row that a score sees, of 1 to 3 strides: slopes against the recursion."""
    found, said = [], []
    for strides in (1, 2, 3):
        found.append(translators.seen(patchgan.discriminator((1, 160, 160), 1, strides), 160))
        field = 1
        for stride in (1, 1, *(2,) * strides):
            field = stride * (field - 1) + 4
        said.append(field)
    return Check(np.array(found), np.array(said), 0.0)


@LESSON.check
def reaches() -> Check:
    """Pixels in a row that a pixel of the generator's depends on: slopes against intervals."""
    sizes = ((0, 64), (1, 64), (6, 160), (9, 224))
    found = [translators.seen(resnet.generator(1, 1, 1, n), side) for n, side in sizes]
    said = [translators.reach(n, side) for n, side in sizes]
    return Check(np.array(found), np.array(said), 0.0)


@LESSON.check
def patch_by_patch() -> Check:
    """Scores of a whole image against those of each 16x16 square by itself, without padding."""
    network = translators.judge()
    image = Noise(8, 1).normal(1, 64, 64).double()
    with torch.no_grad():
        whole = network(image)[0, 0, 8:12, 8:12].flatten()
        alone = []
        for row, column in itertools.product(range(8, 12), repeat=2):
            top, left = 2 * row - 5, 2 * column - 5
            square = image[:, :, top : top + 16, left : left + 16]
            alone.append(translators.unpadded(network, square).flatten())
    return Check(whole.numpy(), torch.cat(alone).numpy(), 1e-12)


@LESSON.check
def shown_ages() -> Check:
    """Shares of what the pool shows that is 1, 50, 100, 200 images old or older: the formula."""
    old = np.array([1, 50, 100, 200])
    said = (1 - 1 / (2 * POOL)) ** (old - 1) / 2
    return Check.of_mean((ages()[:, None] >= old).astype(float), said)


MEMORIES = (0.1, 1.0, 10.0)


@LESSON.check
def lag() -> Check:
    """Growth of a game with a pool: the field's eigenvalues against roots of the cubic."""
    found = [growth(tau) for tau in MEMORIES]
    said = [np.roots([tau, 1, tau / 2, 1]).real.max() for tau in MEMORIES]
    return Check(np.array(found), np.array(said), 1e-10)


@LESSON.check
def shifts() -> Check:
    """E|x - x'| of sequences of correlation 0.8^d, d places apart, against the formula."""
    correlation, far = 0.8, np.arange(1, 9)
    z = Noise(10, 100_000).normal(9).double().numpy()
    x = [z[:, 0]]
    for step in far:
        x.append(correlation * x[-1] + math.sqrt(1 - correlation**2) * z[:, step])
    apart = np.abs(np.stack(x[1:], 1) - x[0][:, None])
    return Check.of_mean(apart, 2 / math.sqrt(math.pi) * np.sqrt(1 - correlation**far))


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Of the four models, of the message, of what networks see and of the pool."""
    found: dict[str, float] = {"sigma": SIGMA, "pool": POOL}
    found |= measured()
    for name, weight in (("low", 0.1), ("high", 10.0)):
        size = math.sqrt(SIGMA * math.sqrt(weight) - SIGMA**2)
        found |= {f"{name}_size": size, f"{name}_lost": return_error(size)}
    found |= {"least_moved": least_moved()[0], "most_moved": least_moved()[1]}
    found |= {"past_age": ages()[ages() > 0].mean(), "mean_age": ages().mean()}
    found |= {f"digits_{d}": value for d, value in enumerate(digits()[0])}
    found["digits_blank"] = digits()[1]
    found["half_life"] = math.log(2) * 2 * POOL
    return found


@LESSON.figure
def translations(words: Words) -> Figure:
    """Where two models send the circle's points, and where these come back to."""
    a, which, to_b, back = translated()
    shown: list[tuple[Said, Callable[[], Tensor]]] = [
        (("domain A", "دامنه‌ی A"), lambda: a),
        (("no cycle: in B", "بدون چرخه: در B"), lambda: to_b[:, 0]),
        (("no cycle: back in A", "بدون چرخه: بازگشت به A"), lambda: back[:, 0]),
        (("with the cycle: in B", "با چرخه: در B"), lambda: to_b[:, 1]),
        (("with the cycle: back in A", "با چرخه: بازگشت به A"), lambda: back[:, 1]),
        (("with identity too: in B", "با زیان همانی هم: در B"), lambda: to_b[:, 3]),
    ]
    plots = []
    for title, made in shown:
        plot, where = Plot(words, title=title, size=(3.0, 3.0)), made()
        for number in range(8):
            x, y = where[which == number].T
            # Two have the colour of another one, and a shape of their own.
            colour, shape = palette.colour(number), "o^"[number > 5]
            plot.axes.plot(x, y, shape, color=colour, markersize=3.5, mew=0)
        plot.axes.set_xlim(-1.6, 1.6)
        plot.axes.set_ylim(-1.6, 1.6)
        plots.append(plot)
    return Figure(plots, columns=3, small=True)


@LESSON.figure
def message(words: Words) -> Figure:
    """What is lost of a hidden message, by its size, for three sizes of noise."""
    sizes = np.geomspace(1e-3, 1, 100)
    x, y = ("size of the message", "اندازه‌ی پیام"), ("part of it that is lost", "سهم ازدست‌رفته")
    plot = Plot(words, x=x, y=y, log="x")
    for sigma in (0.002, 0.02, 0.1):
        label = (f"noise {sigma}", f"نوفه‌ی {words.number(sigma)}")
        plot.line(sizes, [return_error(s, sigma) for s in sizes], label)
    return Figure([plot])


@LESSON.figure
def pooled(words: Words) -> Figure:
    """How old the images are that the pool shows, and the formula."""
    old = np.arange(0, 401, 10)
    x, y = (
        ("images ago", "چند تصویر پیش"),
        ("shown that are as old or older", "سهم به این کهنگی یا بیشتر"),
    )
    plot = Plot(words, x=x, y=y)
    label = ("pool of 50", "بافر ۵۰تایی")
    plot.points(old, [(ages() >= k).mean() for k in old], label)
    law = np.where(old > 0, (1 - 1 / (2 * POOL)) ** (old - 1.0) / 2, 1.0)
    plot.line(old[1:], law[1:], ("formula", "فرمول"))
    return Figure([plot])


@LESSON.figure
def displaced(words: Words) -> Figure:
    """L1 of moved digits beside that of a blank."""
    moved, blank = digits()
    plot = Plot(words, x=("moved by pixels", "جابه‌جایی به پیکسل"), y=("mean L1", "میانگین L1"))
    plot.line(range(5), moved, ("the digit, moved", "خود رقم، جابه‌جاشده"), marker="o", markersize=3)
    plot.line([0, 4], [blank, blank], ("the median image", "تصویر میانه"), dash="--")
    plot.axes.set_xticks(range(5))
    return Figure([plot])
