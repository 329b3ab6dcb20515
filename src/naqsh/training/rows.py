"""Batches: which rows of a data set a method sees, with which noise, in every place alike.

Training reads the stream, whose order is a function of (seed, position); stages, validation and
studies read fixed rows. A batch's columns are those that the set's layout names.
"""

import functools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.abilities import LooksFirst
from naqsh.core.batch import Batch
from naqsh.core.method import Method
from naqsh.core.noise import Noise, derive
from naqsh.core.thinning import evenly
from naqsh.core.world import World
from naqsh.data import DataSet, Loader, to_float
from naqsh.data.crop import cut
from naqsh.recipes.recipe import Recipe

Indices = NDArray[np.int64]

LOOKED_AT = 5000
"""Training images, at most, of which a method takes statistics before its first step."""


def seen(
    pixels: NDArray[np.uint8], value_range: tuple[float, float], device: torch.device | str
) -> Tensor:
    """Stored images as a method takes them: float32 in its value range, on the device."""
    return to_float(torch.from_numpy(np.array(pixels)).to(device), *value_range)


def fixed(
    data: DataSet,
    rows: slice | Sequence[int] | Indices,
    value_range: tuple[float, float],
    noise: Noise,
) -> Batch:
    """A batch of named rows, for what is shown and measured.

    Of captions each image has its first; of a second domain that is not paired, row k beside row k,
    from the beginning again where it has fewer.

    Args:
        data: the set.
        rows: which of its images.
        value_range: that the method takes images in.
        noise: of these images; its device is the batch's.
    """
    index = np.arange(len(data))[rows]
    device = noise.device
    captions, second = data.captions, data.second
    mismatched = None
    if captions is not None and len(data) > 1:  # one held-out image has no other
        chance = Noise(derive(0, "mismatched"), len(index), int(index[0]))
        mismatched = captions[_others(data)(index, chance), 0]
    if second is not None:
        second = second[index if data.paired else index % len(second)]
    return Batch(
        seen(data.images[index], value_range, device),
        None if data.labels is None else torch.from_numpy(data.labels[index]).to(device),
        noise,
        captions=None if captions is None else torch.from_numpy(captions[index, 0]).to(device),
        mismatched=None if mismatched is None else torch.from_numpy(mismatched).to(device),
        second=None if second is None else seen(second, value_range, device),
    )


def various_captions(data: DataSet) -> Tensor:
    """One caption of each image, (N, d): the first of one, the second of the next, and so on."""
    assert data.captions is not None
    rows = np.arange(len(data))
    return torch.from_numpy(data.captions[rows, rows % data.captions.shape[1]])


def look_first(method: Method, data: DataSet, device: torch.device) -> None:
    """Show training images, in float32, to a method that looks at some before its first step.

    They are up to :data:`LOOKED_AT`, taken evenly: the mean and deviation of a number that each
    image has are then known to a hundredth of that deviation.
    """
    if not isinstance(method, LooksFirst):
        return
    rows = evenly(len(data), min(len(data), LOOKED_AT))
    parts = np.array_split(rows, -(-len(rows) // 250))
    method.eval().look_first(seen(data.images[part], method.value_range, device) for part in parts)


class Others:
    """Chooses for each image another one, evenly among those of other classes.

    Where there are no labels, or one class alone, it is any other image.

    Args:
        data: the set, of at least two images.
    """

    def __init__(self, data: DataSet) -> None:
        if len(data) < 2:
            raise ValueError("a mismatched caption needs at least 2 images")
        labels = np.arange(len(data)) if data.labels is None else data.labels
        if (labels == labels[0]).all():
            labels = np.arange(len(data))
        self._sorted = np.argsort(labels, kind="stable")
        self._start = np.searchsorted(labels[self._sorted], labels, "left")
        self._size = np.searchsorted(labels[self._sorted], labels, "right") - self._start

    def __call__(self, rows: Indices, chance: Noise) -> Indices:
        """Another image for each of `rows`, by one uniform number of each."""
        others = len(self._sorted) - self._size[rows]
        place = (chance.uniform().double().numpy() * others).astype(np.int64).clip(0, others - 1)
        chosen: Indices = self._sorted[place + self._size[rows] * (place >= self._start[rows])]
        return chosen


@functools.lru_cache(maxsize=2)
def _others(data: DataSet) -> Others:
    """The choice for a set whose rows are read batch after batch: its labels are sorted once."""
    return Others(data)


class Batches:
    """This rank's part of every batch of a run.

    Args:
        recipe: what is trained.
        data: the training images.
        value_range: that the method takes them in.
        repeats: batches that a step sees.
        world: this process among its ranks.

    Attributes:
        local: images of a batch that this rank sees.
        part: of these, as many as it sees at once.
        per_step: images that all ranks see in a step.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: DataSet,
        value_range: tuple[float, float],
        repeats: int,
        world: World,
    ) -> None:
        training = recipe.training
        self.training, self.value_range, self.world = training, value_range, world
        self.local = world.share(training.batch, training.accumulate)
        self.part = self.local // training.accumulate
        self.per_step = training.batch * repeats
        self._data, self._order = data, derive(training.seed, "order")
        if recipe.data.crop and data.wide is None:
            raise ValueError("images are cut out of larger ones, and there are none")
        self._crop, self._flip = recipe.data.crop, recipe.data.flip
        held = data.wide if data.wide is not None and self._crop else data
        self._loader = Loader(
            held.images, data.labels, seed=self._order, device=world.device, flip=self._flip
        )
        self._latents: Loader | None = None
        self._second: Loader | None = None
        if held.second is not None:
            own = derive(training.seed, "order of the second domain")
            own = self._order if data.paired else own
            self._second = Loader(held.second, None, seed=own, device=world.device, flip=self._flip)
        self._others = Others(data) if data.captions is not None else None

    def keep(self, latents: NDArray[np.float32]) -> None:
        """From now on batches have latents, too, of :func:`naqsh.training.latents.kept`."""
        self._latents = Loader(
            latents, None, seed=self._order, device=self.world.device, both=self._flip
        )

    def take(self, phase: str, step: int, repeat: int, part: int) -> Batch:
        """Images and noise for one part of one update."""
        micro = self.part
        # The ranks share each part, so that batch normalisation sees what one rank would show it.
        first = (part * self.world.size + self.world.rank) * micro
        position = step * self.per_step + repeat * self.training.batch + first
        seed = derive(self.training.seed, "train", phase, step, repeat)
        return self.at(position, Noise(seed, micro, first, self.world.device))

    def at(self, position: int, noise: Noise) -> Batch:
        """The batch from a position of the stream on, one image for each of the noise's."""
        count = len(noise)
        images, labels = self._loader.take(position, count)
        captions = mismatched = second = latents = None
        if self._latents is not None:
            latents, _ = self._latents.take(position, count)
        if self._data.captions is not None and self._others is not None:
            rows = self._loader.rows(position, count)
            captions = self._captions(rows, position, "caption")
            chance = Noise(derive(self.training.seed, "mismatched"), count, position)
            others = self._others(rows, chance)
            mismatched = self._captions(others, position, "caption of the mismatched")
        if self._second is not None:
            partners, _ = self._second.take(position, count)
            place = "crop" if self._data.paired else "crop of the second domain"
            second = to_float(self._cut(partners, position, place), *self.value_range)
        return Batch(
            to_float(self._cut(images, position, "crop"), *self.value_range),
            labels,
            noise,
            captions=captions,
            mismatched=mismatched,
            second=second,
            latents=latents,
        )

    def _cut(self, images: Tensor, position: int, purpose: str) -> Tensor:
        """Images of the stream at the set's size, cut out of larger ones where it is asked for."""
        if not self._crop:
            return images
        chance = Noise(
            derive(self.training.seed, purpose), len(images), position, self.world.device
        )
        return cut(images, *self._data.shape[1:], chance)

    def _captions(self, rows: Indices, position: int, purpose: str) -> Tensor:
        """One caption of each row, drawn for its position in the stream."""
        captions = self._data.captions
        assert captions is not None
        chance = Noise(derive(self.training.seed, purpose), len(rows), position)
        which = chance.integers(captions.shape[1]).numpy()
        return torch.from_numpy(captions[rows, which]).to(self.world.device)
