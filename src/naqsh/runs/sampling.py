"""Drawing images from a trained method, and writing them where a user wants them."""

import dataclasses
import inspect
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naqsh.core.abilities import HasSamplers, Sampler, Samples, Translates
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.machine import Machine
from naqsh.core.method import Method
from naqsh.core.noise import Noise, derive
from naqsh.core.readable import readable_bytes
from naqsh.core.spec import Shape
from naqsh.io import codec, environment, outputs
from naqsh.io import options as option_texts
from naqsh.io import png as pictures
from naqsh.io.options import Option

SAMPLE_BATCH = 100
"""Images that are drawn at a time unless it is said otherwise."""


def batches(
    method: Method,
    name: str,
    n: int,
    given: Mapping[str, Any],
    machine: Machine,
    *,
    classes: Sequence[str] = (),
    first: int = 0,
) -> Iterator[Tensor]:
    """Images first..first + n - 1 of a seed, a batch at a time, so that thousands need no memory.

    Args:
        method: by which they are drawn.
        name: of its recipe, for messages.
        n: how many.
        given: options of sampling, as :func:`sample_options` takes them.
        machine: where they are drawn; its seed is of the noise, and image k of a seed is the same
            image in every call.
        classes: the names of the labels.
        first: the number of the first one.

    Returns:
        float32 in [0, 1] with shape (batch or fewer, C, H, W), on the CPU.

    Raises:
        NaqshError: the method makes no images, or a number or option does not fit; at once.
    """
    if not isinstance(method, Samples):
        if isinstance(method, Translates):
            raise NaqshError(
                f"{name} makes no images from noise; it translates: `naqsh translate RUN IMAGE`"
            )
        raise NaqshError(f"{name} makes no images: its method has no sample")
    batch, place = machine.batch, torch.device(machine.device)
    if n < 1 or batch < 1 or first < 0:
        raise NaqshError(
            f"need n and batch above 0 and first at least 0, got {n}, {batch}, {first}"
        )
    require_room(min(n, batch), method.shape, "take a smaller batch")
    chosen = arguments(method, sample_options(method, given, classes))

    def drawn() -> Iterator[Tensor]:
        method.to(place)
        for start in range(first, first + n, batch):
            count = min(batch, first + n - start)
            noise = Noise(derive(machine.seed, "sample"), count, start, place)
            with torch.inference_mode():
                images = method.sample(noise, **chosen).float().cpu()
            machine.progress("samples", start - first + count, n)
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


def sample_names(method: object) -> list[str]:
    """The options of sampling: of the method, and of any of its samplers."""
    samplers = method.samplers.values() if isinstance(method, HasSamplers) else ()
    fields = (field.name for sampler in samplers for field in dataclasses.fields(sampler))
    return list(dict.fromkeys([*_own(method), *fields]))


def described(method: object) -> list[Option]:
    """The method's own options of sampling, with defaults and descriptions."""
    if not isinstance(method, Samples):
        return []
    named = ("noise", "sampler") if isinstance(method, HasSamplers) else ("noise",)
    found = [  # :func:`_label` reads names too
        dataclasses.replace(option, takes="none, or a class by its name or number")
        if option.name == "label"
        else option
        for option in option_texts.of_function(method.sample, named)
    ]
    if not isinstance(method, HasSamplers):
        return found
    about = option_texts.sections(inspect.getdoc(method.sample) or "")["sampler"]
    return [Option("sampler", method.default_sampler, "", tuple(method.samplers), about), *found]


def sample_options(
    method: Samples, given: Mapping[str, Any], classes: Sequence[str] = ()
) -> dict[str, Any]:
    """Options of sampling, checked and read by their type hints; plain, as results keep them.

    Args:
        method: that samples; its samplers have options of their own.
        given: by name; None leaves one as it is set.
        classes: the names of the labels, of which a text in ``label`` may be one.

    Raises:
        NaqshError: an unknown name, an option of another sampler, or a value that does not fit.
    """
    known = _own(method)
    for name in given:
        if name not in sample_names(method):
            raise one_of("sampling option", name, sample_names(method) or ["n", "seed"])
    if isinstance(method, HasSamplers):
        chosen, sampler = _sampler(method, given)
        fields = [field.name for field in dataclasses.fields(sampler)]
        hints = typing.get_type_hints(type(sampler))
        known |= {name: hints[name] | None for name in fields}
        for name in given:
            if name not in known:
                of = [n for n, other in method.samplers.items() if hasattr(other, name)]
                raise NaqshError(
                    f"{chosen} takes no {name}; it takes {', '.join(fields)} "
                    f"({name} is of {', '.join(of)})"
                )
    found = {}
    for name, value in given.items():
        if name == "label" and isinstance(value, str):
            value = _label(value, classes)
        text = codec.Text(value) if isinstance(value, str) else value
        found[name] = codec.read(known[name], text, name)
    arguments(method, found)  # values out of range are refused now, not after the first batch
    return found


def _own(method: object) -> dict[str, Any]:
    """What a method's ``sample`` takes beside the noise, with its type hint; may be nothing."""
    if not isinstance(method, Samples):
        return {}
    hints = typing.get_type_hints(method.sample)
    if isinstance(method, HasSamplers):
        hints["sampler"] = str | None  # of which name, :func:`_sampler` says
    return {name: hint for name, hint in hints.items() if name not in ("noise", "return")}


def _sampler(method: HasSamplers, given: Mapping[str, Any]) -> tuple[str, Sampler]:
    """The sampler that was asked for, or the method's usual one, and its name."""
    asked = given.get("sampler")
    name = method.default_sampler if asked in (None, "none") else str(asked)
    if name not in method.samplers:
        raise one_of("sampler", name, method.samplers)
    return name, method.samplers[name]


def arguments(method: Samples, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What a method's ``sample`` takes, from what :func:`sample_options` gave."""
    if not isinstance(method, HasSamplers):
        return dict(chosen)
    sampler = _sampler(method, chosen)[1]
    own = {name: value for name, value in chosen.items() if name in _own(method)}
    of_it = {n: value for n, value in chosen.items() if n not in own and value is not None}
    return {**own, "sampler": dataclasses.replace(sampler, **of_it)}


def _label(text: str, classes: Sequence[str]) -> int | str:
    """The number of a class by its name; a text that is no name as it is, if it may be a number."""
    if text in classes:
        return list(classes).index(text)
    if classes and text != "none" and not text.removeprefix("-").isdecimal():
        raise one_of("label", text, classes)
    return text
