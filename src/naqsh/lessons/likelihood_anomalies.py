"""Anomaly detection by likelihood: how it is measured, where it fails, what a flow cannot do."""

import functools
import math

import numpy as np
import torch
from scipy.stats import multivariate_normal, norm
from sklearn.datasets import load_digits

from naqsh.flows.autoregressive import Autoregressive
from naqsh.flows.method import Chain
from naqsh.lessons.lesson import ERRORS, Check, Figure, Lesson, Words
from naqsh.lessons.plots import Plot
from naqsh.metrics.detection import auroc, average_precision, roc, threshold_at

LESSON = Lesson(
    "likelihood-anomalies",
    number=22,
    questions=("accuracy", "score", "failures", "reconstruction"),
)

SHIFT = 1.5
"""How far the scores of anomalies lie above those of normal images, in deviations."""

NORMAL, ANOMALIES = 3000, 1000
RARE = 30
"""Anomalies where they are one in a hundred."""

HELD, ALARMS, TRIALS = 99, 0.05, 20_000
DIMENSIONS, DRAWS, NARROW = 100, 20_000, 0.7
FLOAT64 = float(np.finfo(np.float64).eps)


@functools.cache
def _scores() -> tuple[np.ndarray, np.ndarray]:
    """Scores of normal images, and of anomalies."""
    rng = np.random.default_rng(0)
    return rng.normal(size=NORMAL), SHIFT + rng.normal(size=ANOMALIES)


def _joined(normal: np.ndarray, anomalies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All scores, and which of them are of anomalies."""
    return np.concatenate([normal, anomalies]), np.arange(len(normal) + len(anomalies)) >= len(
        normal
    )


@LESSON.check
def area() -> Check:
    """The area below the ROC curve by trapezoids, and the share of pairs in the right order."""
    normal, anomalies = _scores()
    false, true = roc(*_joined(normal, anomalies))
    pairs = (anomalies[:, None] > normal).mean() + (anomalies[:, None] == normal).mean() / 2
    trapezoids = float(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum())
    return Check(trapezoids, float(pairs), (NORMAL + ANOMALIES) * FLOAT64)


@LESSON.check
def chance() -> Check:
    """AUROC of scores that are two normals a shift apart, and Phi(shift / sqrt 2)."""
    normal, anomalies = _scores()
    above = anomalies[:, None] > normal
    # DeLong: the mean over pairs varies by its means over either side.
    variance = above.mean(1).var(ddof=1) / ANOMALIES + above.mean(0).var(ddof=1) / NORMAL
    known = float(norm.cdf(SHIFT / math.sqrt(2)))
    return Check(auroc(*_joined(normal, anomalies)), known, ERRORS * math.sqrt(variance))


@LESSON.check
def precision() -> Check:
    """Precision of flagging above 1 with every normal score ten times: counted, and by rates."""
    normal, anomalies = _scores()
    alarms, found = (normal > 1).mean(), (anomalies > 1).mean()
    share = ANOMALIES / (ANOMALIES + 10 * NORMAL)
    flagged = np.repeat(normal, 10) > 1
    counted = (anomalies > 1).sum() / ((anomalies > 1).sum() + flagged.sum())
    rates = share * found / (share * found + (1 - share) * alarms)
    return Check(float(counted), float(rates), 8 * FLOAT64)


@LESSON.check
def promised() -> Check:
    """How often a further normal image is flagged by Naqsh's threshold, and what is promised."""
    rng = np.random.default_rng(1)
    rank = math.ceil((HELD + 1) * (1 - ALARMS))
    drawn = rng.normal(size=(TRIALS, HELD + 1))
    flagged = [row[-1] > threshold_at(row[:-1], ALARMS) for row in drawn]
    return Check.of_mean(np.array(flagged, dtype=float), (HELD + 1 - rank) / (HELD + 1))


@functools.cache
def _high() -> np.ndarray:
    """Draws of the standard normal in 100 dimensions."""
    return np.random.default_rng(2).normal(size=(DRAWS, DIMENSIONS))


def _surprise(x: np.ndarray) -> np.ndarray:
    """Minus the log-density of the standard normal, in nats."""
    return np.asarray((x**2).sum(-1) / 2 + DIMENSIONS / 2 * math.log(2 * math.pi))


@LESSON.check
def typical() -> Check:
    """How much likelier the origin is than a draw, in nats on average, and D/2."""
    return Check.of_mean(_surprise(_high()) - _surprise(np.zeros(DIMENSIONS)), DIMENSIONS / 2)


@LESSON.check
def narrow() -> Check:
    """How much likelier draws of a narrower normal are, on average, and D (1 - s^2) / 2."""
    gained = _surprise(_high()) - _surprise(NARROW * _high()[::-1])
    return Check.of_mean(gained, DIMENSIONS * (1 - NARROW**2) / 2)


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits in [0, 1] with a little noise, shape (N, 64): train and test."""
    pixels = load_digits().data / 16
    pixels = pixels + 0.02 * np.random.default_rng(3).normal(size=pixels.shape)
    order = np.random.default_rng(4).permutation(len(pixels))
    return pixels[order[:1200]], pixels[order[1200:]]


def _faded(images: np.ndarray) -> np.ndarray:
    """Images of half their contrast around the mean of the training images."""
    mean = _digits()[0].mean(0)
    return np.asarray(mean + (images - mean) / 2)


def _shuffled(images: np.ndarray) -> np.ndarray:
    """Images whose pixels changed places, each in its own way."""
    return np.random.default_rng(5).permuted(images, axis=1)


@functools.cache
def _on_digits() -> dict[str, float]:
    """AUROC of several scores against two kinds of anomalies."""
    train, test = _digits()
    half = len(test) // 2
    normal = test[:half]
    fitted = multivariate_normal(train.mean(0), np.cov(train.T))
    centre = -fitted.logpdf(train).mean()
    _, vectors = np.linalg.eigh(np.cov(train.T))
    parts = vectors[:, -20:]

    def likelihood(x: np.ndarray) -> np.ndarray:
        return np.asarray(-fitted.logpdf(x))

    def untypical(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(likelihood(x) - centre))

    def residual(x: np.ndarray) -> np.ndarray:
        away = x - train.mean(0)
        return np.asarray(((away - away @ parts @ parts.T) ** 2).sum(1))

    found = {}
    for kind, anomalies in (("faded", _faded(test[half:])), ("shuffled", _shuffled(test[half:]))):
        for score in (likelihood, untypical, residual):
            found[f"{score.__name__}_{kind}"] = auroc(*_joined(score(normal), score(anomalies)))
        back = [np.abs(_back_and_forth(x) - x).max(1) for x in (normal, anomalies)]
        found[f"flow_{kind}"] = max(float(errors.max()) for errors in back)
    return found


@functools.cache
def _flow() -> Chain:
    """A flow of 64 numbers with random weights, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        layers = [Autoregressive(64, (64,), reverse=k == 1) for k in range(2)]
    return Chain(layers).double()


def _back_and_forth(x: np.ndarray) -> np.ndarray:
    """What a flow reconstructs of images, by its latents."""
    with torch.no_grad():
        latents, _ = _flow().normalise(torch.from_numpy(x))
        return np.asarray(_flow()(latents).numpy())


@LESSON.check
def exact() -> Check:
    """Images, normal and shuffled, and what a flow reconstructs of them."""
    x = np.concatenate([_digits()[1], _shuffled(_digits()[1])])
    # Two maps of 64 sums each, there and back; random weights keep factors below 2 here.
    return Check(_back_and_forth(x), x, 2 * 2 * 64 * 64 * FLOAT64 * (1 + np.abs(x).max()))


@LESSON.numbers
def numbers() -> dict[str, float]:
    """What the text shows besides."""
    normal, anomalies = _scores()
    rare = _joined(normal, anomalies[:RARE])
    far = _surprise(_high()), _surprise(NARROW * _high()[::-1])
    return _on_digits() | {
        "share": 100 * RARE / (NORMAL + RARE),
        "accuracy": 100 * NORMAL / (NORMAL + RARE),
        "auroc": auroc(*_joined(normal, anomalies)),
        "auroc_rare": auroc(*rare),
        "ap": average_precision(*_joined(normal, anomalies)),
        "ap_rare": average_precision(*rare),
        "narrow": auroc(*_joined(*far)),
        "dimensions": DIMENSIONS,
        "deviation": NARROW,
        "held": HELD,
        "alarms": 100 * ALARMS,
        "flagged": 0.001 * 0.95 / (0.001 * 0.95 + 0.999 * 0.05),
    }


@LESSON.figure
def curves(words: Words) -> Figure:
    """ROC and precision-recall curves of one score, anomalies common and rare."""
    rates = Plot(
        words,
        title=("ROC", "ROC"),
        x=("false alarms", "هشدار نادرست"),
        y=("anomalies found", "ناهنجاری یافته"),
    )
    precisions = Plot(
        words,
        title=("precision and recall", "دقت و بازیابی"),
        x=("recall", "بازیابی"),
        y=("precision", "دقت"),
    )
    normal, anomalies = _scores()
    for several, label, dash in (
        (anomalies, ("one in four anomalous", "یک چهارم ناهنجار"), "-"),
        (anomalies[:RARE], ("one in a hundred", "یک صدم ناهنجار"), "--"),
    ):
        false, true = roc(*_joined(normal, several))
        rates.line(false, true, label, dash=dash)
        found, alarms = true[1:] * len(several), false[1:] * NORMAL
        precisions.line(true[1:], found / (found + alarms), label, dash=dash)
    return Figure([rates, precisions])


@LESSON.figure
def spheres(words: Words) -> Figure:
    """How surprising draws of several sources are under one density in 100 dimensions."""
    plot = Plot(
        words, x=("minus log-density, nats", "منفی لگاریتم چگالی، نات"), y=("density", "چگالی")
    )
    edges = np.linspace(90, 190, 101)
    for factor, label in (
        (1.0, ("what it was trained on", "داده‌ی آموزش")),
        (NARROW, ("narrower", "باریک‌تر")),
        (1.2, ("wider", "پهن‌تر")),
    ):
        counts, _ = np.histogram(_surprise(factor * _high()), edges, density=True)
        plot.bars(counts, edges, label)
    origin, dash = float(_surprise(np.zeros(DIMENSIONS))), "--"
    colour = plot.colour()
    plot.axes.axvline(origin, color=colour, linestyle=dash)
    plot.label(("the origin", "مبدأ"), colour, dash)
    return Figure([plot])
