"""Diffusion for segmentation: why a denoiser knows what is where, and how to ask it."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.data import digits, textured
from naqsh.diffusion.features import LEVELS
from naqsh.diffusion.method import Denoising
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.schedule import Cosine, Linear
from naqsh.io.masks import overlaid
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.lessons.plots import Said as Pair
from naqsh.methods import diffusion
from naqsh.metrics import segmentation as metrics
from naqsh.networks.pixel_heads import PixelHeads, at, disagreement, enlarged
from naqsh.report.words import Words
from naqsh.studies.segmentation import scratch
from naqsh.studies.segmentation.approaches import approaches
from naqsh.studies.segmentation.looking import Segmenter, predicted
from naqsh.studies.segmentation.updates import updates

LESSON = Lesson("diffusion-segmentation", number=18, questions=("why", "method", "measured"))

SCHEDULE = Linear()

STRIPES = torch.tensor([1.0, -1.0, 1.0, -1.0]).double()
PATTERNS = torch.stack(
    [
        sign * way.flatten()
        for way in (STRIPES.expand(4, 4), STRIPES.expand(4, 4).T)
        for sign in (1, -1)
    ]
)
"""Upright stripes and their negative, lying ones and theirs: images of 4x4 pixels, (4, 16)."""

DEVIATION = 0.3


def whole() -> Mixture:
    """The best denoiser of images of stripes."""
    return Mixture(SCHEDULE, PATTERNS.tolist(), [DEVIATION] * 4)


def single() -> Mixture:
    """The best denoiser of one of their pixels by itself."""
    return Mixture(SCHEDULE, [(1.0,), (-1.0,)], [DEVIATION] * 2)


def drawn(count: int, ratio: float, seed: int) -> tuple[Tensor, Tensor, float]:
    """Clean and noisy images of stripes, (N, 1, 4, 4), and the time of that noise over signal."""
    noise = Noise(seed, count)
    clean = PATTERNS[noise.integers(4)] + DEVIATION * noise.normal(16).double()
    time = float(SCHEDULE.time(-2 * math.log(ratio)))
    alpha, sigma = (float(part) for part in SCHEDULE(time))
    noisy = alpha * clean + sigma * noise.normal(16).double()
    return clean.view(-1, 1, 4, 4), noisy.view(-1, 1, 4, 4), time


@LESSON.check
def answers_hold_the_class() -> Check:
    """Probabilities of three patterns, linear in the answers of Naqsh's denoiser, against Bayes."""
    known = PATTERNS[:3]
    denoiser = Mixture(SCHEDULE, known.tolist(), [DEVIATION] * 3)
    _, x, time = drawn(200, 1.5, 1)
    alpha, sigma = (float(part) for part in SCHEDULE(time))
    kept = alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2)
    places = (denoiser(x, time).x0 - kept * x).flatten(1) / (1 - alpha * kept)
    # Weights that sum to 1 and mix the patterns to this place.
    equations = torch.cat([known.T, torch.ones(1, 3).double()])
    shares = torch.linalg.lstsq(equations, torch.cat([places, torch.ones(200, 1)], 1).T).solution
    of_each = torch.distributions.Normal(
        alpha * known, math.sqrt(alpha**2 * DEVIATION**2 + sigma**2)
    )
    said = of_each.log_prob(x.flatten(1)[:, None]).sum(2).softmax(1)
    return Check(shares.T.numpy(), said.numpy(), 1e-9)


RATIOS = tuple(float(r) for r in np.geomspace(0.05, 30, 25))


@functools.cache
def gain_at(ratio: float) -> float:
    """What a pixel's square error falls by where its neighbours are seen."""
    _, x, time = drawn(2000, ratio, 2)
    alone = single()(x.reshape(-1, 1, 1, 1), time).x0.view_as(x)
    return float((whole()(x, time).x0 - alone).square().mean())


@LESSON.check
def errors_add_up() -> Check:
    """Square error of the best single pixel, less that of the best image and their distance."""
    clean, x, time = drawn(20_000, 1.0, 3)
    seen = whole()(x, time).x0
    alone = single()(x.reshape(-1, 1, 1, 1), time).x0.view_as(x)
    rest = (clean - alone) ** 2 - (clean - seen) ** 2 - (seen - alone) ** 2
    return Check.of_mean(rest.flatten(1).mean(1).numpy(), 0.0)


def seen_all(classes: int, images: int) -> float:
    """The probability that images of one class each, all equally frequent, have every class."""
    return sum(
        (-1.0) ** j * math.comb(classes, j) * (1 - j / classes) ** images
        for j in range(classes + 1)
    )


@LESSON.check
def every_class_is_named() -> Check:
    """How often 20 images of 6 classes have every one, 20,000 draws, against the formula."""
    classes = Noise(4, 20_000).integers(6, 20)
    there = one_hot(classes, 6).amax(1).amin(1)
    return Check.of_mean(there.double().numpy(), seen_all(6, 20))


@functools.cache
def heads() -> PixelHeads:
    """Three members of Naqsh's ensemble on maps of 5 and 3 channels, float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = PixelHeads([5, 3], 4, 3).double()
    made.standardise(2 + 3 * Noise(5, 50).normal(8).double())
    return made.eval().requires_grad_(False)


@LESSON.check
def layer_first() -> Check:
    """Naqsh's logits with its first layer before enlarging, against enlarged and joined maps."""
    maps = [Noise(6, 2).normal(5, 2, 2).double(), Noise(7, 2).normal(3, 4, 4).double()]
    ours = heads().on_maps(maps, (8, 8))
    joined = torch.cat([enlarged(m, (8, 8)) for m in maps], 1).flatten(2).permute(0, 2, 1)
    said = torch.stack([heads()(image.expand(3, -1, -1)) for image in joined])
    return Check(ours.flatten(3).numpy(), said.permute(0, 1, 3, 2).numpy(), 1e-10)


@LESSON.check
def pixels_taken() -> Check:
    """Features of single pixels as Naqsh takes them, against enlarged maps at those pixels."""
    maps = [Noise(6, 2).normal(5, 2, 2).double(), Noise(7, 2).normal(3, 4, 4).double()]
    pixels = Noise(8, 2).integers(64, 10)
    joined = torch.cat([enlarged(m, (8, 8)) for m in maps], 1).flatten(2).permute(0, 2, 1)
    said = joined.gather(1, pixels[..., None].expand(-1, -1, 8))
    return Check(at(maps, pixels, (8, 8)).numpy(), said.numpy(), 1e-12)


@LESSON.check
def members_disagree() -> Check:
    """Naqsh's disagreement of five members against the mean KL from their mean."""
    logits = 3 * Noise(9, 1).normal(5, 4, 6, 6).double()
    each = logits.softmax(2)
    mean = each.mean(1, keepdim=True)
    kl = (each * (each / mean).log()).sum(2).mean(1)
    return Check(disagreement(logits).numpy(), kl.numpy(), 1e-12)


@functools.cache
def scenes() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (N, 3, 32, 32) and masks (N, 32, 32) of textured shapes."""
    images, masks = zip(*textured.render(textured.chances("test", 64)), strict=True)
    return np.concatenate(images), np.concatenate(masks)


@LESSON.check
def background_alone() -> Check:
    """Naqsh's mean IoU of masks that say background everywhere against its share over K."""
    _, truth = scenes()
    classes = len(textured.CLASSES)
    counts = metrics.confusion(truth, np.zeros_like(truth), classes)
    return Check(metrics.mean_iou(counts), float((truth == 0).mean()) / classes, 1e-12)


@LESSON.check
def of_sets() -> Check:
    """Naqsh's IoU of six classes, from counts, against intersections and unions of pixels."""
    _, truth = scenes()
    classes = len(textured.CLASSES)
    said = np.where(np.random.default_rng(0).random(truth.shape) < 0.7, truth, truth[::-1])
    ours = metrics.intersection_over_union(metrics.confusion(truth, said, classes))
    sets = [
        ((truth == k) & (said == k)).sum() / ((truth == k) | (said == k)).sum()
        for k in range(classes)
    ]
    return Check(ours, sets, 1e-12)


KINDS = 4
"""Digits 0 to 3 are what is told apart, beside the background."""

LABELLED, STEPS = 20, 120

LAYOUT = Layout((1, 8, 8))


@functools.cache
def figures(split: str) -> tuple[Tensor, Tensor]:
    """Digits below KINDS of a split, (N, 1, 8, 8) in [-1, 1], and masks (N, 8, 8).

    Ink belongs to the digit that it is part of, and is what is lighter than middle grey.
    """
    images, labels = (torch.from_numpy(part) for part in digits.read(split))
    some = labels < KINDS
    x = images[some].float() / 127.5 - 1
    return x, torch.where(x[:, 0] > 0, labels[some, None, None] + 1, 0)


@functools.cache
def trained() -> Denoising:
    """Naqsh's diffusion model of all 1,500 training digits, which it sees without their labels."""
    images = torch.from_numpy(digits.read("train")[0]).float() / 127.5 - 1
    spec = diffusion.Spec(Cosine(), parameterisation="v", multipliers=(1, 2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = spec.build(LAYOUT)
    (phase,) = method.phases()
    chosen = Noise(0, STEPS).integers(len(images), 32)
    for step in updates(method, STEPS, 4e-3):
        batch = Batch(images[chosen[step]], None, Noise(step + 1, 32))
        phase.loss(batch, step)["total"].backward()
    return method.requires_grad_(False)


def from_scratch(images: Tensor, masks: Tensor) -> Segmenter:
    """A U-Net of the diffusion model's sizes that learns the masks of labelled images alone."""
    network = scratch.unet(trained(), KINDS + 1, 0)

    def logits(x: Tensor) -> Tensor:
        out: Tensor = network(x, torch.zeros(len(x)))
        return out

    for _ in updates(network, STEPS, 3e-3):
        cross_entropy(logits(images), masks).backward()
    return lambda maps: logits(maps[0])[:, None]


@dataclass(frozen=True)
class Said:
    """What an approach says of the test digits.

    Attributes:
        masks: uint8 (N, 8, 8).
        unsure: the members' disagreement in nats, (N, 8, 8).
        counts: the confusion of classes.
    """

    masks: NDArray[np.uint8]
    unsure: NDArray[np.float32]
    counts: NDArray[np.int64]


@functools.cache
def said() -> dict[str, Said]:
    """Each approach, fitted on the same labelled digits."""
    pool, masks = figures("train")
    test, truth = figures("test")
    rows = Noise(1, 1).uniform(len(pool))[0].argsort()[:LABELLED]
    ways = approaches(trained(), LAYOUT, LEVELS, KINDS + 1, 4, False, 0)
    found = {}
    for way in ways:
        fit = (lambda maps, of, _: from_scratch(maps[0], of)) if way.name == "scratch" else way.fit
        segmenter = fit(way.look(pool[rows]), masks[rows], 0)
        voted, unsure = predicted(segmenter, way.look(test))
        found[way.name] = Said(voted, unsure, metrics.confusion(truth.numpy(), voted, KINDS + 1))
    return found


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Gains, chances, and how well each approach does."""
    best = max(RATIOS, key=gain_at)
    found = {"least": LEVELS[0], "best": best, "most": RATIOS[-1]}
    found |= {f"gain_{name}": gain_at(ratio) for name, ratio in list(found.items())}
    found |= {"variance": 1 + DEVIATION**2}
    found |= {f"named_{n}": seen_all(6, n) for n in (20, 40)}
    found["background"] = float((scenes()[1] == 0).mean())
    for name, one in said().items():
        found[f"iou_{name}"] = metrics.mean_iou(one.counts)
        found[f"right_{name}"] = float(np.trace(one.counts) / one.counts.sum())
    truth = figures("test")[1].numpy()
    wrong, unsure = said()["features"].masks != truth, said()["features"].unsure
    least = unsure >= np.quantile(unsure, 0.9)
    found["found"] = float((wrong & least).sum() / wrong.sum())
    return found | {"labelled": LABELLED, "steps": STEPS, "tested": len(truth)}


@LESSON.figure
def gain(words: Words) -> Figure:
    """What a pixel's error falls by where the rest of the image is seen."""
    x = ("noise over signal", "نسبت نویز به سیگنال")
    plot = Plot(words, x=x, y=("gain", "سود"), log="x")
    plot.line(RATIOS, [gain_at(ratio) for ratio in RATIOS])
    for level in LEVELS:
        plot.axes.axvline(level, color="grey", linestyle=":", linewidth=1)
    return Figure([plot])


@LESSON.figure
def masks(words: Words) -> Figure:
    """Test digits with true masks, predictions, and where the ensemble is unsure."""
    test, truth = figures("test")
    grey = test.add(1).mul(127.5).round().to(torch.uint8).numpy()
    own = said()["features"]
    shown: tuple[tuple[Pair, NDArray[np.uint8]], ...] = (
        (("true masks", "ماسک‌های درست"), truth.numpy().astype(np.uint8)),
        (("diffusion features", "ویژگی‌های مدل پخشی"), own.masks),
        (
            ("features of the same network, untrained", "ویژگی‌های همان شبکه، آموزش‌ندیده"),
            said()["untrained"].masks,
        ),
        (("U-Net from scratch", "شبکه‌ی U-Net از صفر"), said()["scratch"].masks),
        (("pixels and coordinates", "پیکسل‌ها و مختصات"), said()["places"].masks),
    )
    plots = []
    for title, mask in shown:
        over = overlaid(grey[:16], mask[:16], KINDS + 1)
        plots.append(_row(words, title, over))
    unsure = np.rint(own.unsure[:16] / own.unsure[:16].max() * 255).astype(np.uint8)
    title = ("disagreement, light where unsure", "اختلاف نظر، روشن جایی که نامطمئن است")
    plots.append(_row(words, title, unsure[:, None].repeat(3, 1)))
    return Figure(plots, columns=2)


def _row(words: Words, title: Pair, images: NDArray[np.uint8]) -> Plot:
    """Sixteen images (16, 3, 8, 8) side by side in two rows."""
    plot = Plot(words, title=title, image=True, size=(4.2, 1.1))
    apart = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=90)
    lines = apart.reshape(2, 8, 3, 10, 10).transpose(0, 3, 1, 4, 2).reshape(20, 80, 3)
    plot.image(lines)
    return plot
