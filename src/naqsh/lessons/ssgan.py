"""Self-supervised GANs: what a discriminator forgets, and what angles do and do not do for it."""

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, relu

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot, Said
from naqsh.methods import ssgan
from naqsh.methods.ssgan import turned
from naqsh.report.words import Words

LESSON = Lesson("ssgan", number=7, questions=("forgetting", "rotation", "limits"))

Numbers = NDArray[np.float64]

FIRST, SECOND = (
    torch.tensor(values, dtype=torch.float64) for values in ([1.0, -2.0, 0.5], [-1.0, 0.5, 2.0])
)
"""What a linear model should be for either of two tasks."""

CURVATURES = torch.tensor([1.0, 0.3, 0.05], dtype=torch.float64)
RATE, STEPS = 0.2, 30


def descended(steps: int, weight: float = 0.0) -> Tensor:
    """FIRST after steps of descent on the second task, beside one of that weight that stays."""
    w = FIRST.clone().requires_grad_()
    for _ in range(steps):
        loss = (CURVATURES * (w - SECOND) ** 2).sum() / 2 + weight * ((w - FIRST) ** 2).sum() / 2
        (slope,) = torch.autograd.grad(loss, w)
        w = (w - RATE * slope).detach().requires_grad_()
    return w.detach()


@LESSON.check
def forgotten() -> Check:
    """Weights of the first task after 30 steps on the second: descent against the closed form."""
    said = SECOND + (1 - RATE * CURVATURES) ** STEPS * (FIRST - SECOND)
    return Check(descended(STEPS).numpy(), said.numpy(), 1e-12)


@LESSON.check
def anchored() -> Check:
    """Where descent comes to rest beside a task of weight 0.5 that stays: weighted means."""
    said = (CURVATURES * SECOND + 0.5 * FIRST) / (CURVATURES + 0.5)
    return Check(descended(400, 0.5).numpy(), said.numpy(), 1e-10)


@LESSON.check
def turned_back() -> Check:
    """Naqsh's turned images, each turned back by its own label, against the images."""
    images = Noise(1, 8).normal(1, 6, 6)
    moved, labels = turned(images)
    back = [torch.rot90(x, -int(k), (1, 2)) for x, k in zip(moved, labels, strict=True)]
    return Check(torch.stack(back).numpy(), images.numpy(), 0.0)


@LESSON.check
def both_losses() -> Check:
    """Naqsh's losses of both players against hinge losses and cross-entropies, written out."""
    spec = ssgan.Spec(latent=4, width=4, spectral_norm=False, alpha=0.2, beta=1.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = spec.build(Layout((1, 16, 16)))
    noise = Noise(2, 8)
    real, fake = (noise.uniform(1, 16, 16) * 2 - 1 for _ in range(2))
    batch, critic = Batch(real, None, noise), model.critic
    with torch.no_grad():
        ours = [model.judging(fake, batch)["total"], model.passing(fake, batch, 1)["total"]]
        angles = torch.arange(8) % 4
        told = []
        for images in (real, fake):
            upright = [torch.rot90(x, int(k), (1, 2)) for x, k in zip(images, angles, strict=True)]
            shares = critic.turns(torch.stack(upright)).softmax(1)
            told.append(-shares[torch.arange(8), angles].log().mean())
        hinge = relu(1 - critic(real)).mean() + relu(1 + critic(fake)).mean()
        said = [hinge + told[0], -critic(fake).mean() + 0.2 * told[1]]
    # Sums of numbers of some tens, in float32.
    return Check(torch.stack(ours).numpy(), torch.stack(said).numpy(), 1e-4)


UPRIGHT = np.array([0.3, 0.1, 0.05, 0.25, 0.2, 0.1])
"""How likely each of six kinds of images is, as the data has them."""

ORDERS = np.array([[0, 1, 2, 3, 4, 5], [3, 0, 1, 2, 5, 4], [2, 3, 0, 1, 4, 5], [1, 2, 3, 0, 5, 4]])
"""What each kind was before 0 to 3 quarter turns: 0 to 3 become each other, and so do 4 and 5."""


def four() -> Tensor:
    """Probabilities of the kinds under the four angles, (4, 6)."""
    return torch.from_numpy(UPRIGHT[ORDERS])


def best_angles() -> Tensor:
    """The best distribution over angles of each kind, (4, 6)."""
    return four() / four().sum(0)


@LESSON.check
def least_rotation_loss() -> Check:
    """The least cross-entropy of angles, by L-BFGS on logits, against ln 4 - JSD of the four."""
    p, logits = four(), torch.zeros(4, 6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -(p * logits.log_softmax(0)).sum() / 4
        value.backward()
        return value

    optimizer.step(loss)
    jsd = float((p * (p / p.mean(0)).log()).sum() / 4)
    return Check(float(loss().detach()), math.log(4) - jsd, 1e-7)


@LESSON.check
def ceiling() -> Check:
    """The accuracy of the best guess of the angle: 200,000 draws against the formula."""
    p, noise = four().numpy(), Noise(3, 200_000)
    angle = noise.integers(4).numpy()
    uniform = noise.uniform().double().numpy()
    kind = (uniform[:, None] > p.cumsum(1)[angle]).sum(1).clip(max=5)
    right = p.argmax(0)[kind] == angle
    return Check.of_mean(right.astype(float), float(p.max(0).sum() / 4))


ALPHA = 0.2


def unclear() -> Tensor:
    """What each kind costs the generator: the mean of -log Q of the angle, over its four turns."""
    logs, costs = -best_angles().log(), torch.zeros(6, dtype=torch.float64)
    for angle, order in enumerate(ORDERS):
        # order[k] is what kind k was before the turn, so the cost of seeing k belongs to that.
        costs[order] += logs[angle] / 4
    return costs


@LESSON.check
def tilted() -> Check:
    """Shares of kinds that minimise KL(q || p) + 0.2 E_q h, by search: p e^(-0.2 h)."""
    p, h = torch.from_numpy(UPRIGHT), unclear()
    logits = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-13, tolerance_change=0.0
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        q = logits.softmax(0)
        value = (q * (q / p).log()).sum() + ALPHA * (q * h).sum()
        value.backward()
        return value

    optimizer.step(loss)
    said = p * (-ALPHA * h).exp()
    # Near its least the loss is flat: it tells shares apart to the root of its rounding.
    return Check(logits.detach().softmax(0).numpy(), (said / said.sum()).numpy(), 1e-6)


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """Digits of 8x8 pixels in [0, 1], (1797, 1, 8, 8), and which digit each is."""
    loaded = load_digits()
    return torch.from_numpy(loaded.images).float()[:, None] / 16, torch.from_numpy(loaded.target)


def body(seed: int = 0) -> nn.Sequential:
    """Features of a digit, their weights those of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()
        )


def head(outputs: int) -> nn.Linear:
    """A head on the features, its weights those of seed 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Linear(64, outputs)


EACH, TASKS, TRAINING, SEEDS = 60, 5, 1400, 4


def balanced(told: Tensor, true: Tensor) -> float:
    """The mean of the accuracies on those that are and on those that are not."""
    return float((told[true].double().mean() + (~told[~true]).double().mean()) / 2)


def probe(train: Tensor, test: Tensor, digit: int) -> float:
    """Balanced accuracy on one task of a linear head fitted to features by least squares."""
    labels = digits()[1]
    rows, others = (torch.cat([f, torch.ones(len(f), 1)], 1).double() for f in (train, test))
    true = labels[:TRAINING] == digit
    # Both classes weigh as much, so that the threshold is 0.
    weights = torch.where(true, 1 / true.double().mean(), 1 / (~true).double().mean())[:, None]
    gram = rows.T @ (weights * rows) + torch.eye(rows.shape[1], dtype=torch.float64)
    found = torch.linalg.solve(gram, rows.T @ (weights[:, 0] * (2.0 * true.double() - 1)))
    return balanced(others @ found > 0, labels[TRAINING:] == digit)


@functools.cache
def sequence(rotation: bool, seed: int) -> tuple[Numbers, Numbers]:
    """Five tasks in turn, "is it this digit?", with one head, as a discriminator has one score.

    Returns:
        balanced accuracies (5, 5), after each task on each of them: of the head, and of a fresh
        head on the features.
    """
    images, labels = digits()
    features, score, angles = body(seed), head(1), head(4)
    modules = nn.ModuleList([features, score, angles])
    optimizer = torch.optim.Adam(modules.parameters(), lr=2e-3)
    by_head, by_probe = [], []
    for task in range(TASKS):
        for rows in Noise(100 * seed + task, EACH).integers(TRAINING, 64):
            x = images[rows]
            wanted = (labels[rows] == task).float()
            # One in ten is this digit: it weighs nine times as much.
            loss = binary_cross_entropy_with_logits(
                score(features(x))[:, 0], wanted, pos_weight=torch.tensor(9.0)
            )
            if rotation:
                moved, turns = turned(x)
                loss = loss + cross_entropy(angles(features(moved)), turns)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            known, fresh = features(images[:TRAINING]), features(images[TRAINING:])
            told = score(fresh)[:, 0] > 0
        by_head.append([balanced(told, labels[TRAINING:] == other) for other in range(TASKS)])
        by_probe.append([probe(known, fresh, other) for other in range(TASKS)])
    return np.array(by_head), np.array(by_probe)


@functools.cache
def sequences(rotation: bool) -> tuple[Numbers, Numbers]:
    """The same of four seeds, each (4, 5, 5)."""
    by_head, by_probe = zip(*(sequence(rotation, seed) for seed in range(SEEDS)), strict=True)
    return np.stack(by_head), np.stack(by_probe)


@functools.cache
def angles_of_digits() -> tuple[Numbers, Numbers, float]:
    """Of a network trained on angles alone, by digit: its accuracy and loss; and its confusions.

    The last is the share of its errors that are by half a turn.
    """
    images, labels = digits()
    features, angles = body(), head(4)
    optimizer = torch.optim.Adam([*features.parameters(), *angles.parameters()], lr=3e-3)
    for rows in Noise(20, 600).integers(TRAINING, 64):
        moved, turns = turned(images[rows])
        optimizer.zero_grad()
        cross_entropy(angles(features(moved)), turns).backward()
        optimizer.step()
    test, of = images[TRAINING:], labels[TRAINING:]
    every = torch.cat([torch.rot90(test, k, (2, 3)) for k in range(4)])
    turns = torch.arange(4).repeat_interleave(len(test))
    with torch.no_grad():
        logits = angles(features(every))
    told = logits.argmax(1)
    right = (told == turns).double().view(4, -1).mean(0)
    losses = cross_entropy(logits, turns, reduction="none").double().view(4, -1).mean(0)
    half = ((told - turns) % 4 == 2)[told != turns].double().mean()
    means = [torch.stack([x[of == digit].mean() for digit in range(10)]) for x in (right, losses)]
    return means[0].numpy(), means[1].numpy(), float(half)


@LESSON.numbers
def numbers() -> dict[str, float]:
    """What is forgotten, what angles can be told, and what the tilt moves."""
    found = {"steps": STEPS, "left_curved": float((1 - RATE * CURVATURES[0]) ** STEPS)}
    found["left_flat"] = float((1 - RATE * CURVATURES[2]) ** STEPS)
    for name, rotation in (("plain", False), ("helped", True)):
        by_head, by_probe = (x.mean(0) for x in sequences(rotation))
        found |= {f"{name}_head_first": by_head[0, 0], f"{name}_head_second": by_head[1, 0]}
        found |= {f"{name}_head_last": by_head[-1, 0], f"{name}_probe_first": by_probe[0, 0]}
        found |= {f"{name}_probe_last": by_probe[-1, 0], f"{name}_mean": by_probe[-1].mean()}
    gains = [sequences(rotation)[1][:, -1].mean(1) for rotation in (True, False)]
    found["gain"] = (gains[0] - gains[1]).mean()
    found["gain_error"] = (gains[0] - gains[1]).std(ddof=1) / math.sqrt(SEEDS)
    untrained = [body(seed) for seed in range(SEEDS)]
    with torch.no_grad():
        made = [features(digits()[0]) for features in untrained]
    worths = [probe(f[:TRAINING], f[TRAINING:], task) for f in made for task in range(TASKS)]
    found["untrained_mean"] = sum(worths) / len(worths)
    accuracy, loss, half = angles_of_digits()
    found |= {"angle_mean": accuracy.mean(), "half": half}
    found |= {f"angle_{digit}": accuracy[digit] for digit in (0, 1, 4, 7, 8)}
    shares = np.exp(-ALPHA * loss)
    shares /= shares.sum()
    found |= {"rarest": shares.min(), "commonest": shares.max()}
    found |= {"rarest_digit": float(shares.argmin()), "commonest_digit": float(shares.argmax())}
    found["ceiling"] = float(four().max(0).values.sum() / 4)
    return found


@LESSON.figure
def tasks(words: Words) -> Figure:
    """The head on the first task, and fresh heads on all five, after each of the five tasks."""
    x, y = ("tasks learnt", "وظیفه‌های آموخته"), ("balanced accuracy", "دقت متوازن")
    left = Plot(words, x=x, y=y, title=("its head, first task", "سر خودش، وظیفه‌ی نخست"))
    right = Plot(words, x=x, y=y, title=("fresh heads, all five", "سرهای تازه، هر پنج"))
    after = np.arange(1, TASKS + 1)
    labels: tuple[Said, Said] = (("score alone", "تنها نمره"), ("with angles", "همراه زاویه‌ها"))
    for rotation, label in zip((False, True), labels, strict=True):
        by_head, by_probe = (x.mean(0) for x in sequences(rotation))
        left.line(after, by_head[:, 0], label, marker="o", markersize=3)
        right.line(after, by_probe.mean(1), label, marker="o", markersize=3)
    for plot in (left, right):
        plot.axes.set_xticks(after)
    untrained = LESSON.value("numbers.untrained_mean")
    right.line(after[[0, -1]], [untrained] * 2, ("untrained", "آموزش‌ندیده"), dash=":")
    return Figure([left, right], columns=2)


@LESSON.figure
def angles(words: Words) -> Figure:
    """Accuracy on angles by digit, and the shares that alpha leaves of equal ones."""
    accuracy, loss, _ = angles_of_digits()
    shares = np.exp(-ALPHA * loss)
    plots = []
    for y, heights in (
        (("accuracy on angles", "دقت زاویه"), accuracy),
        (("share of the generator", "سهم در مولد"), shares / shares.sum()),
    ):
        plot = Plot(words, x=("digit", "رقم"), y=y, title=y)
        plot.axes.bar(range(10), heights, color=plot.colour(), alpha=0.6)
        plot.axes.set_xticks(range(10))
        plots.append(plot)
    plots[1].axes.axhline(0.1, color="#9b9ba3", linewidth=0.8)
    return Figure(plots, columns=2)
