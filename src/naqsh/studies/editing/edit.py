"""What an edit asks for, held against what a run's method can, and done."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh import metrics
from naqsh.core.abilities import Encodes, Samples
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.method import Method
from naqsh.core.noise import Noise, derive
from naqsh.diffusion import editing, strips
from naqsh.diffusion.method import Denoising
from naqsh.diffusion.repaint import Repaint
from naqsh.metrics import Speed
from naqsh.runs import captioned
from naqsh.runs import sampling as options
from naqsh.runs.trained import Trained
from naqsh.studies.editing.images import Editable, editable
from naqsh.training.rows import seen

Kind = Literal["fill", "vary", "blend"]

VARIANTS, WAY = 4, 9
"""Images that are made of each by default, and on the way from one to another."""

BLEND_STEPS = 50
"""Of DDIM, each way, by default: with few, an image does not come back as it was."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Edited:
    """What came of an edit.

    Attributes:
        kind: ``fill``, ``vary`` or ``blend``.
        images: float32 in [0, 1] with shape (N, n, C, H, W); known pixels of a fill are those
            given, and of a blend all lie on the way, its ends made from latents too.
        given: the images as the run takes them.
        other: what they were blended with, uint8 (N, C, H, W).
        options: of sampling, as results keep them.
        speed: of all of it.
        strength, repaint: as they were asked for, where the edit is of that kind.
    """

    kind: Kind
    images: Tensor
    given: Editable
    other: Pixels | None
    options: Mapping[str, Any]
    speed: Speed
    strength: float | None
    repaint: Repaint | None


def edit(
    run: Trained,
    images: Any,
    machine: Machine = Machine(),
    *,
    mask: Any = None,
    strength: float | None = None,
    blend: Any = None,
    n: int | None = None,
    jump: int | None = None,
    resamples: int | None = None,
    caption: str | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> Edited:
    """Edit images with a run as it was trained.

    With `mask` a part is made anew and the rest stays, to the bit of 8 bits; with `strength` the
    image is taken into noise and back; with both, the part begins with what lies under the mask.
    With `blend` it goes over into another. Diffusion and flow matching do all of it; what has a
    code for every image, such as a VAE or a flow, blends.

    Args:
        run: by which.
        images: a path, an array, a PIL image, or a list of these.
        machine: where it is done; variant k of every image has the noise of sample k of its seed.
        mask: white where images are to be filled, or the name of a part: ``left``, ``right``,
            ``top``, ``bottom`` or ``centre``.
        strength: from 0, the image as it is, to 1, a new one.
        blend: one other image, or as many as `images`.
        n: images made of each; 4 by default, 9 on the way of a blend, its ends among them.
        jump, resamples: of a fill, see :class:`naqsh.diffusion.repaint.Repaint`.
        caption: what the images become, of a run that follows captions.
        sampling: options of sampling, such as ``label``, ``guidance``, ``sampler`` and ``steps``.

    Raises:
        NaqshError: the run cannot, or what is asked for does not fit.
    """
    kind = _kind(mask, strength, blend)
    _require(run, kind)
    n = n if n is not None else (WAY if kind == "blend" else VARIANTS)
    least = 2 if kind == "blend" else 1
    if n < least or machine.batch < 1:
        raise NaqshError(f"need n from {least} on and a batch above 0, got {n} and {machine.batch}")
    repaint = None
    if kind == "fill":
        numbers = {"jump": jump, "resamples": resamples}
        repaint = Repaint(**{name: value for name, value in numbers.items() if value is not None})
    elif jump is not None or resamples is not None:
        raise NaqshError("jump and resamples are of filling a mask; give --mask, or leave them out")
    if strength is not None:
        editing.taken(strength, 1)  # out of its range it is refused now
    found = editable(images, run.method.shape, mask)
    options.require_room(len(found.images) * n, run.method.shape, "edit fewer at a time")
    plain = _options(run, kind, sampling or {})
    other = None if kind != "blend" else _other(blend, run, len(found.images))
    assert isinstance(run.method, Samples), "all that edits samples too"
    chosen = options.arguments(run.method, plain)
    if caption is not None:
        embeddings, unknown = captioned.embedded(run, [caption])
        chosen |= {"caption": embeddings[0]}
        plain = {**plain, "caption": caption}
        found = replace(found, notes=(*found.notes, *unknown))
    share = 1.0 if strength is None else strength
    work = _Work(run.method, kind, found, other, chosen, n, share, repaint, machine)
    made, speed = _timed(work)
    return Edited(kind, made, found, other, plain, speed, strength, repaint)


def _kind(mask: Any, strength: float | None, blend: Any) -> Kind:
    if blend is not None:
        if mask is not None or strength is not None:
            raise NaqshError("a blend is of whole images; leave out --mask and --strength")
        return "blend"
    if mask is not None:
        return "fill"
    if strength is not None:
        return "vary"
    raise NaqshError(
        "say what to do: --mask MASK fills what is white in it, --strength 0.5 makes the image "
        "anew from halfway into noise, --blend OTHER goes over into another"
    )


def _require(run: Trained, kind: Kind) -> None:
    """Refuse what a method cannot, and say what can."""
    method, name, of_kind = run.method, run.recipe.name, run.recipe.method.kind
    can = "diffusion and flow matching do, such as ddpm-digits and flow-matching-mnist"
    if run.layout.extent:
        raise NaqshError(f"{name} makes points, and editing is of images; {can}")
    if isinstance(method, Denoising) or (kind == "blend" and isinstance(method, Encodes)):
        return
    if isinstance(method, Encodes):
        raise NaqshError(
            f"{name} fills no mask and varies no image: its method, {of_kind}, has no way from "
            f"noise to an image that could begin halfway; {can}. It blends two: --blend OTHER"
        )
    raise NaqshError(
        f"{name} edits no images: its method, {of_kind}, has no way from an image to its noise or "
        f"code; {can}, and VAEs and flows blend two images"
    )


def _options(run: Trained, kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of sampling for this kind of edit, checked."""
    diffuses = isinstance(run.method, Denoising)
    assert isinstance(run.method, Samples), "all that edits samples too"
    if kind != "blend":
        usual = {"sampler": "ancestral"} if kind == "fill" else {}
        return options.sample_options(run.method, {**usual, **given}, run.classes)
    taken = ("steps", "label") if diffuses else ()
    for name in given:
        if name not in taken:
            what = f"it takes {' and '.join(taken)}" if taken else "of this run it takes none"
            raise NaqshError(f"a blend takes no {name}; {what}")
    plain = {"sampler": "ddim", "steps": BLEND_STEPS, **given} if diffuses else {}
    return options.sample_options(run.method, plain, run.classes)


def _other(blend: Any, run: Trained, count: int) -> Pixels:
    """What each of `count` images is blended with."""
    found = editable(blend, run.method.shape).images
    if len(found) not in (1, count):
        raise NaqshError(
            f"{count} images are blended with one other, or with as many, got {len(found)}"
        )
    return np.broadcast_to(found, (count, *found.shape[1:]))


@dataclass(frozen=True)
class _Work:
    """What is made of each image, and how."""

    method: Method
    kind: Kind
    given: Editable
    other: Pixels | None
    chosen: Mapping[str, Any]
    n: int
    strength: float
    repaint: Repaint | None
    machine: Machine

    def all(self) -> Tensor:
        """Everything, one image after the other: float32 with shape (N n, C, H, W), on the CPU."""
        count, made = len(self.given.images), []
        for number in range(count):
            with torch.inference_mode():
                images = self._way(number) if self.kind == "blend" else self._variants(number)
            made.append(images.float().cpu())
            self.machine.progress("edited", number + 1, count)
        return torch.cat(made)

    def _variants(self, number: int) -> Tensor:
        """The variants of one image."""
        method, made = self.method, []
        assert isinstance(method, Denoising), "refused otherwise"
        asked = editing.Asked(**self.chosen)
        for first in range(0, self.n, self.machine.batch):
            count = min(self.machine.batch, self.n - first)
            images = self._seen(self.given.images[number]).expand(count, -1, -1, -1)
            seed = derive(self.machine.seed, "sample")
            noise = Noise(seed, count, first, images.device)
            if self.repaint is None:
                made.append(editing.vary(method, images, noise, self.strength, asked))
                continue
            assert self.given.unknown is not None, "a fill has a mask"
            unknown = torch.from_numpy(self.given.unknown[number]).to(images.device)
            unknown, again = unknown.expand(count, -1, -1), self.repaint
            made.append(
                editing.fill(method, images, unknown, noise, self.strength, asked, repaint=again)
            )
        return torch.cat(made)

    def _way(self, number: int) -> Tensor:
        """Images on the way from one to the other."""
        assert self.other is not None, "read with the images"
        first, second = self._seen(self.given.images[number]), self._seen(self.other[number])
        if isinstance(self.method, Denoising):
            how: dict[str, Any] = {name: self.chosen.get(name) for name in ("label", "caption")}
            how["steps"] = self.chosen["sampler"].steps
            return editing.blend(self.method, first[0], second[0], self.n, **how)
        assert isinstance(self.method, Encodes), "refused otherwise"
        codes = self.method.encode(torch.cat([first, second]))
        return self.method.decode(strips.between(codes[0], codes[1], self.n))

    def _seen(self, pixels: Pixels) -> Tensor:
        """One stored image as the method takes it, shape (1, C, H, W)."""
        return seen(pixels[None], self.method.value_range, self.machine.device)


def _timed(work: _Work) -> tuple[Tensor, Speed]:
    """All images, shape (N, n, C, H, W), and what they cost."""
    assert isinstance(work.method, Samples), "all that edits samples too"
    work.method.to(work.machine.device)
    made: list[Tensor] = []

    def sample(_: int) -> Tensor:
        made.append(work.all())
        return made[-1]

    count = len(work.given.images)
    speed = metrics.sampling_speed(sample, work.method.sampling_network, count * work.n, warm_up=0)
    return made[-1].unflatten(0, (count, work.n)), speed
