"""Translating images of one domain into another: images of any size that a method can take.

A method takes images whose sides are multiples of a number. So each is mirrored at its edges up to
the next multiple, equally at both sides, and what was added is cropped from the translation.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh import methods
from naqsh.core.abilities import Samples, Translates
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.io.foreign import read_json
from naqsh.io.values import MISFIT
from naqsh.runs import records
from naqsh.runs.trained import Trained

T = TypeVar("T")

BATCH = 16
"""Images that are translated at a time unless it is said otherwise."""

OTHER = {"A": "B", "B": "A"}
"""Of each domain the one that it is translated from."""


def require(run: Trained) -> Translates:
    """The method of a run that translates.

    Raises:
        NaqshError: it does not; the message names the methods that do.
    """
    method = run.method
    if isinstance(method, Translates):
        return method
    kind = run.recipe.method.kind
    raise NaqshError(
        f"{run.recipe.name} does not translate: its method is {kind}, and "
        f"{' and '.join(_able()) or 'no method here'} can; `naqsh list` has their recipes"
    )


def _able() -> list[str]:
    """The names of the methods that translate."""
    found = []
    for name in methods.names():
        with contextlib.suppress(NaqshError, AttributeError):  # a plug-in that has recipes alone
            module = sys.modules[methods.spec_class(name).__module__]
            classes = [value for value in vars(module).values() if isinstance(value, type)]
            if any(issubclass(c, Method) and hasattr(c, "translate") for c in classes):
                found.append(name)
    return found


def alone(method: Method) -> bool:
    """Whether a method translates and makes no images from noise."""
    return isinstance(method, Translates) and not isinstance(method, Samples)


def direction(run: Trained, to: str | None) -> str:
    """The domain that is translated to, ``A`` or ``B``; by default the method's usual one.

    Args:
        run: of a method that translates.
        to: a letter, or the domain's name as the data set has it, in letters of any case.

    Raises:
        NaqshError: the method does not translate to it.
    """
    known, names = require(run).directions, _names(run)
    if to is None:
        return known[0]
    for letter in known:
        if to.casefold() in (letter.casefold(), names[letter].casefold()):
            return letter

    def called(letter: str) -> str:
        return letter if names[letter] == letter else f"{letter}, {names[letter]}"

    said = " or ".join(
        f"{letter} ({called(OTHER[letter])} to {called(letter)})" for letter in known
    )
    raise NaqshError(f"there is no domain {to} to translate to; give --to {said}")


def _names(run: Trained) -> dict[str, str]:
    """What the run's data set calls its domains; their letters where it does not say."""
    letters = {letter: letter for letter in OTHER}
    try:
        told = records.read(records.About, read_json(run.folder.about)).data.domains
    except (NaqshError, *MISFIT):  # a weights file alone can be opened
        return letters
    return letters | dict(zip(OTHER, told, strict=False))


def channels(layout: Layout, domain: str) -> int:
    """Channels of the images of a domain, ``A`` or ``B``, in a run's layout."""
    return (layout.second if domain == "B" and layout.second else layout.shape)[0]


def require_size(method: Translates, height: int, width: int, name: str) -> None:
    """Refuse an image that is smaller than a method takes; raises NaqshError with its `name`."""
    if min(height, width) < method.least:
        raise NaqshError(
            f"{name} has {width}x{height} pixels; this network needs at least "
            f"{method.least}x{method.least}: enlarge it, or take larger images"
        )


def translated(method: Translates, images: Tensor, to: str) -> Tensor:
    """Images of one size, translated and cropped back to that size.

    Args:
        method: in eval mode.
        images: float32 in [0, 1] with shape (N, C, H, W), on the method's device.
        to: one of the method's directions.

    Returns:
        float32 in [0, 1] with shape (N, C', H, W), on the same device.
    """
    assert isinstance(method, Method)
    low, high = method.value_range
    height, width = images.shape[2:]
    top, rows = _mirrored(height, method.multiple)
    left, columns = _mirrored(width, method.multiple)
    padded = images.to(torch.float32)
    if (len(rows), len(columns)) != (height, width):
        padded = padded[:, :, rows.to(images.device)][:, :, :, columns.to(images.device)]
    with torch.inference_mode():
        made = method.translate(padded * (high - low) + low, to).float()
    return made[:, :, top : top + height, left : left + width]


def _mirrored(side: int, multiple: int) -> tuple[int, Tensor]:
    """Rows of an image and its mirror images, up to a multiple, and where the image begins."""
    total = -side % multiple
    before = total // 2
    place = torch.arange(-before, side + total - before)
    period = max(1, 2 * (side - 1))  # the row at an edge is not repeated
    place = place.remainder(period)
    return before, torch.minimum(place, period - place) if side > 1 else place


def each(
    method: Translates,
    images: Iterable[tuple[T, Tensor]],
    ways: Sequence[str],
    *,
    batch: int = BATCH,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[T, list[Tensor]]]:
    """Images of any sizes, each translated along the same way; few of them are held at once.

    Neighbours of one size are translated together.

    Args:
        method: by which.
        images: each under a name: uint8, or float32 in [0, 1], with shape (C, H, W).
        ways: the domains on the way: ``["B"]`` goes from A to B, ``["B", "A"]`` also back.
        batch: images at a time.
        device: where the method computes; it is moved there.

    Returns:
        under its name of each image its translation to every domain on the way: float32 in [0, 1]
        with shape (C', H, W), on the CPU.
    """
    assert isinstance(method, Method)
    if batch < 1:
        raise NaqshError(f"cannot translate {batch} images at a time; give a batch of at least 1")
    place = torch.device(device)
    method.to(place)
    for together in _of_one_size(images, batch):
        stages = [torch.stack([_unit(image) for _, image in together]).to(place)]
        for to in ways:
            stages.append(translated(method, stages[-1], to))
        finished = [stage.cpu() for stage in stages[1:]]
        for number, (name, _) in enumerate(together):
            yield name, [stage[number] for stage in finished]


def there_and_back(
    method: Translates, images: Tensor, to: str, sigmas: Sequence[float], noise: Noise
) -> list[Tensor]:
    """How far images are from what comes back of their translations, with noise added to these.

    Args:
        method: which also has the way back.
        images: float32 in [0, 1] with shape (N, C, H, W), on the method's device.
        to: the domain that they are translated to.
        sigmas: standard deviations of the noise.
        noise: of these N images; the same is taken for every sigma.

    Returns:
        for each sigma the mean absolute difference of every image, float64 with shape (N,).
    """
    there = translated(method, images, to)
    chance = noise.normal(*there.shape[1:])
    returned = (translated(method, there + sigma * chance, OTHER[to]) for sigma in sigmas)
    return [(back - images).abs().double().mean((1, 2, 3)) for back in returned]


def batches(
    method: Translates, images: NDArray[np.uint8], batch: int, device: str | torch.device
) -> Iterator[tuple[slice, Tensor]]:
    """Stored images of one size, some at a time, on a device; the method is moved there.

    Args:
        method: that is to translate them.
        images: uint8 with shape (N, C, H, W).
        batch: images at a time; of more than :data:`BATCH`, so many.
        device: where the method computes.

    Returns:
        which rows, and these images as float32 in [0, 1].
    """
    assert isinstance(method, Method)
    method.to(device)
    count = min(batch, BATCH)
    for first in range(0, len(images), count):
        rows = slice(first, min(first + count, len(images)))
        yield rows, _unit(torch.from_numpy(np.array(images[rows])).to(device))


def _of_one_size(
    images: Iterable[tuple[T, Tensor]], batch: int
) -> Iterator[list[tuple[T, Tensor]]]:
    together: list[tuple[T, Tensor]] = []
    for name, image in images:
        if together and (len(together) == batch or image.shape != together[0][1].shape):
            yield together
            together = []
        together.append((name, image))
    if together:
        yield together


def _unit(image: Tensor) -> Tensor:
    """An image as float32 in [0, 1]."""
    return image.float() / 255 if image.dtype == torch.uint8 else image.float()
