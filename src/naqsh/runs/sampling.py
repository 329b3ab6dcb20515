"""Drawing images from a trained method, and writing them where a user wants them."""

import math
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naqsh.core.abilities import Samples
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.method import Method
from naqsh.core.noise import Noise, derive
from naqsh.core.progress import Progress
from naqsh.core.readable import readable_bytes
from naqsh.core.spec import Shape
from naqsh.io import codec, environment, outputs
from naqsh.io import png as pictures
from naqsh.io.options import Option, of_function

SAMPLE_BATCH = 100
"""Images that are drawn at a time unless it is said otherwise."""


def batches(
    method: Method,
    name: str,
    n: int,
    given: Mapping[str, Any],
    *,
    seed: int = 0,
    first: int = 0,
    batch: int = SAMPLE_BATCH,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Images first..first + n - 1 of a seed, a batch at a time, so that thousands need no memory.

    Args:
        method: by which they are drawn.
        name: of its recipe, for messages.
        n: how many.
        given: what the method's ``sample`` takes beside the noise.
        seed: of the noise; image k of a seed is the same image in every call.
        first: the number of the first one.
        batch: how many at a time.
        device: where they are drawn.
        progress: told how many are drawn.

    Returns:
        float32 in [0, 1] with shape (batch or fewer, C, H, W), on the CPU.

    Raises:
        NaqshError: the method makes no images, or a number or option does not fit; at once.
    """
    if not isinstance(method, Samples):
        raise NaqshError(f"{name} makes no images: its method has no sample")
    if n < 1 or batch < 1 or first < 0:
        raise NaqshError(
            f"need n and batch above 0 and first at least 0, got {n}, {batch}, {first}"
        )
    require_room(min(n, batch), method.shape, "take a smaller batch")
    chosen = sample_options(method, given)
    place = torch.device(device)

    def drawn() -> Iterator[Tensor]:
        method.to(place)
        for start in range(first, first + n, batch):
            count = min(batch, first + n - start)
            noise = Noise(derive(seed, "sample"), count, start, place)
            with torch.inference_mode():
                images = method.sample(noise, **chosen).float().cpu()
            if progress:
                progress("samples", start - first + count, n)
            yield images

    return drawn()


def require_room(count: int, shape: Shape, cure: str) -> None:
    """Refuse to hold more images at once than memory has room for, the networks' share aside.

    Args:
        count: how many.
        shape: (C, H, W) of each.
        cure: what would work, for the message.
    """
    needed, room = 4 * count * math.prod(shape), environment.memory(torch.device("cpu"))
    if room and needed > room:
        raise NaqshError(
            f"{count:,} images of {shape[1]}x{shape[2]}x{shape[0]} need {readable_bytes(needed)} "
            f"of memory and there are {readable_bytes(room)}; {cure}"
        )


def require_target(path: Path, folder: bool, overwrite: bool) -> None:
    """Refuse, before anything is drawn, a place where images must not be written.

    Args:
        path: of the grid, or of the folder for single images.
        folder: whether it is a folder.
        overwrite: replace the images in it, or a file that Naqsh did not write.
    """
    if folder:
        outputs.require_folder(path, overwrite)
    else:
        outputs.require_name(path, "grid")
        outputs.require_file(path, overwrite)


def write_each(path: Path, drawn: Iterator[Tensor], overwrite: bool) -> None:
    """Write each image as a PNG of its own into a folder, all of them or none."""
    with outputs.image_folder(path, overwrite) as aside:
        count = 0
        for images in drawn:
            pictures.save_each(aside, pictures.to_pixels(images.numpy()), count)
            count += len(images)


def sample_names(method: object) -> dict[str, Any]:
    """What a method's ``sample`` takes beside the noise, with its type hint; may be nothing."""
    hints = typing.get_type_hints(method.sample) if isinstance(method, Samples) else {}
    return {name: hint for name, hint in hints.items() if name not in ("noise", "return")}


def described(method: object) -> list[Option]:
    """What a method's ``sample`` takes beside the noise, with defaults and descriptions."""
    return of_function(method.sample, ("noise",)) if isinstance(method, Samples) else []


def sample_options(method: Samples, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options for a method's ``sample``, checked and read by their type hints."""
    known = sample_names(method)
    for name in given:
        if name not in known:
            raise one_of("sampling option", name, known or ["n", "seed"])
    return {
        name: codec.read(known[name], codec.Text(value) if isinstance(value, str) else value, name)
        for name, value in given.items()
    }
