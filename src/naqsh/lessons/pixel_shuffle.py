"""PixelShuffle: channels become pixels, what that costs, and where checkerboards come from."""

import functools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, pixel_shuffle

from naqsh.core.noise import Noise
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot, Said
from naqsh.networks import convnets
from naqsh.report.words import Words

LESSON = Lesson(
    "pixel-shuffle",
    number=1,
    questions=("origin", "formula", "cost", "checkerboards", "generator"),
)

R, INPUTS, OUTPUTS, SIDE = 2, 3, 4, 6


def normal(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers of a shape, float64."""
    return Noise(seed, shape[0]).normal(*shape[1:]).double()


@LESSON.check
def by_index() -> Check:
    """PyTorch's pixel_shuffle against Y(b, c, h r + i, w r + j) = X(b, c r^2 + i r + j, h, w)."""
    x = normal(0, 2, 3 * R**2, 4, 5)
    y = torch.empty(2, 3, 4 * R, 5 * R, dtype=torch.float64)
    for c, h, w, i, j in np.ndindex(3, 4, 5, R, R):
        y[:, c, h * R + i, w * R + j] = x[:, c * R**2 + i * R + j, h, w]
    return Check(pixel_shuffle(x, R).numpy(), y.numpy(), 0.0)


@LESSON.check
def turned_gradient() -> Check:
    """The gradient through a shuffle is the inverse shuffle: numbers are moved, none is changed."""
    x = normal(1, 2, 8, 3, 3).requires_grad_()
    weight = normal(2, 2, 2, 6, 6)
    (slope,) = torch.autograd.grad((pixel_shuffle(x, R) * weight).sum(), x)
    return Check(slope.numpy(), nn.functional.pixel_unshuffle(weight, R).numpy(), 0.0)


@LESSON.check
def as_transposed() -> Check:
    """A convolution and a shuffle against one transposed convolution with the same numbers."""
    x, size = normal(3, 2, INPUTS, SIDE, SIDE), 3
    weight = normal(4, OUTPUTS * R**2, INPUTS, size, size)
    shuffled = pixel_shuffle(conv2d(x, weight, padding=1), R)
    kernel = torch.zeros(INPUTS, OUTPUTS, size * R, size * R, dtype=torch.float64)
    for c, i, j, u, v in np.ndindex(OUTPUTS, R, R, size, size):
        place = (size - 1 - u) * R + i, (size - 1 - v) * R + j
        kernel[:, c, place[0], place[1]] = weight[c * R**2 + i * R + j, :, u, v]
    transposed = conv_transpose2d(x, kernel, stride=R, padding=R)
    return Check(shuffled.numpy(), transposed.numpy(), 1e-12)


@LESSON.check
def alike_is_nearest() -> Check:
    """With r^2 equal filters for each channel (ICNR) the shuffle repeats pixels."""
    x = normal(5, 2, INPUTS, SIDE, SIDE)
    few = normal(6, OUTPUTS, INPUTS, 3, 3)
    many = few.repeat_interleave(R**2, dim=0)
    shuffled = pixel_shuffle(conv2d(x, many, padding=1), R)
    repeated = interpolate(conv2d(x, few, padding=1), scale_factor=R, mode="nearest")
    return Check(shuffled.numpy(), repeated.numpy(), 1e-12)


def touched(size: int, stride: int, count: int = 8) -> Tensor:
    """How many inputs reach each output of a transposed convolution on a line."""
    ones = torch.ones(1, 1, count, dtype=torch.float64)
    kernel = torch.ones(1, 1, size, dtype=torch.float64)
    return nn.functional.conv_transpose1d(ones, kernel, stride=stride)[0, 0]


@LESSON.check
def uneven_overlap() -> Check:
    """Inputs that reach an output, by a kernel of ones, against their number by the formula."""
    found, said = [], []
    for size, stride in ((3, 2), (4, 2), (5, 3), (6, 3)):
        inner = touched(size, stride)[size:-size]
        places = torch.arange(size, size + len(inner)) % stride
        found += inner.tolist()
        said += [float(-(-(size - int(place)) // stride)) for place in places]
    return Check(found, said, 0.0)


def products(network: nn.Module, x: Tensor) -> int:
    """Multiplications of a network's convolutions for one input, counted as it runs."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        total += output[0].numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return total


@functools.cache
def generator() -> nn.Module:
    """Naqsh's generator of digits, its statistics at rest."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return convnets.generator((1, 28, 28), 64).eval()


@LESSON.check
def generator_products() -> Check:
    """Multiplications of the digit generator's convolutions: counted, and by the formula."""
    said = 14 * 14 * 9 * 16 * 32 + 28 * 28 * 9 * 8 * 1
    return Check(products(generator(), torch.zeros(2, 64)), said, 0.0)


KINDS: dict[str, Said] = {
    "transposed": ("transposed, kernel 3", "ترانهاده، هسته‌ی ۳"),
    "shuffle": ("convolution and shuffle", "کانولوشن و جابه‌جایی"),
    "icnr": ("the same, equal filters", "همان، فیلترهای برابر"),
    "nearest": ("nearest, then convolution", "نزدیک‌ترین، سپس کانولوشن"),
}


@functools.cache
def of_constant(kind: str) -> Tensor:
    """What two random layers of a kind make of constant features, the middle of it, (12, 12)."""
    x = torch.ones(1, 8, 8, 8, dtype=torch.float64)
    for layer in range(2):
        weight = normal(10 + layer, 8, 8, 3, 3) / np.sqrt(72)
        if kind == "transposed":
            x = conv_transpose2d(x, weight, stride=2, padding=1, output_padding=1)
        elif kind == "nearest":
            x = conv2d(interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
        else:
            many = normal(20 + layer, 32, 8, 3, 3) / np.sqrt(72)
            if kind == "icnr":
                many = weight.repeat_interleave(4, dim=0)
            x = pixel_shuffle(conv2d(x, many, padding=1), 2)
        x = x.relu()
    return x[0].mean(0)[10:22, 10:22]


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Multiplications of ways to double, and patterns on constant features."""
    found: dict[str, float] = {"ours": products(generator(), torch.zeros(2, 64))}
    found["first_ours"] = 14 * 14 * 9 * 16 * 32
    found["first_nearest"] = 14 * 14 * 9 * 64 * 32
    found["first_transposed"] = 7 * 7 * 16 * 64 * 32
    found["first_subpixel"] = 7 * 7 * 9 * 64 * 4 * 32
    found["weights_ours"], found["weights_subpixel"] = 9 * 16 * 32, 9 * 64 * 4 * 32
    found["weights_nearest"], found["weights_transposed"] = 9 * 64 * 32, 16 * 64 * 32
    for kind in KINDS:
        image = of_constant(kind)
        found[kind] = float(image.std() / image.mean())
    return found


@LESSON.figure
def boards(words: Words) -> Figure:
    """What random layers of each kind make of constant features."""
    plots = []
    for kind, title in KINDS.items():
        plot = Plot(words, title=title, image=True, size=(2.1, 2.1))
        image = of_constant(kind)
        plot.image(image.numpy(), vmin=0, vmax=2 * float(image.mean()))
        plots.append(plot)
    return Figure(plots, columns=4, small=True)


@LESSON.figure
def overlap(words: Words) -> Figure:
    """How many inputs reach each output on a line."""
    x, y = ("output", "خروجی"), ("inputs that reach it", "ورودی‌های مؤثر")
    plot = Plot(words, x=x, y=y)
    for size, label in (
        (3, ("kernel 3, stride 2", "هسته‌ی ۳، گام ۲")),
        (4, ("kernel 4, stride 2", "هسته‌ی ۴، گام ۲")),
    ):
        counts = touched(size, 2)
        plot.line(np.arange(len(counts)), counts, label, drawstyle="steps-mid")
    plot.axes.set_ylim(0, 3)
    return Figure([plot])
