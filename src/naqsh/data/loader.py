"""The stream of training images, as a pure function of a seed and a position.

Training reads an endless stream: position p is entry p mod N of the order of epoch p div N, and
that order is a permutation drawn from (seed, epoch) alone. So the loader has no state to save (a
checkpoint keeps one integer, the number of images seen), a rank of many takes its slice of the
global batch by position, and a batch may reach over the end of an epoch.

No Python runs per image: a batch is one gather of rows and one conversion.
"""

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SHARE_OF_DEVICE = 8


class Loader:
    """Serves batches of a data set from a seeded, stateless stream."""

    def __init__(
        self,
        images: NDArray[Any],
        labels: NDArray[np.int64] | None,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        flip: bool = False,
        both: bool = False,
    ):
        """Set up the stream; nothing is read yet unless the images go to an accelerator.

        On an accelerator the images are kept there as uint8 when they take at most an eighth of
        its free memory; otherwise each batch crosses over from pinned memory.

        Args:
            images: uint8 with shape (N, C, H, W), N >= 1, contiguous; may be a memory map. Points
                are float32.
            labels: int64 with shape (N,), or None.
            seed: any whole number; fixes the order of every epoch and which images are mirrored.
            device: where batches are wanted.
            flip: mirror each image left to right with probability 1/2.
            both: instead of mirroring image k, take image N / 2 + k; the stream is that of the
                first half with `flip`. For latents of images and, after them, of mirrored ones.
        """
        if images.dtype not in (np.uint8, np.float32) or images.ndim != 4 or len(images) == 0:
            raise ValueError(f"need uint8 (N >= 1, C, H, W), got {images.dtype} {images.shape}")
        if labels is not None and labels.shape != (len(images),):
            raise ValueError(f"{len(images)} images, but labels of shape {labels.shape}")
        self._seed = seed
        self._device = torch.device(device)
        self._flip, self._both = flip and not both, both
        self._size = len(images) // 2 if both else len(images)
        self._images = np.ascontiguousarray(images)
        self._labels = None if labels is None else np.ascontiguousarray(labels, dtype=np.int64)
        self._resident: Tensor | None = None
        if self._device.type != "cpu" and images.nbytes <= _room_on(self._device):
            self._resident = torch.from_numpy(np.array(self._images)).to(self._device)
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)
        self._mirrored = np.empty(0, dtype=np.bool_)

    def __len__(self) -> int:
        return self._size

    def take(self, start: int, count: int) -> tuple[Tensor, Tensor | None]:
        """The images at positions [start, start + count) of the stream.

        Args:
            start: first position, zero or more; with R ranks of batch B, rank r takes its step s
                at ``(s * R + r) * B``.
            count: how many, one or more; may be larger than the data set.

        Returns:
            images as they are stored, with shape (count, C, H, W), and int64 labels with shape
            (count,) or None, both on the loader's device and owned by the caller.
        """
        if start < 0 or count < 1:
            raise ValueError(f"need start >= 0 and count >= 1, got {start} and {count}")
        rows, mirrored = self._rows(start, count)
        if self._both:
            rows = rows + self._size * mirrored
        labels = None if self._labels is None else self._send(self._labels.take(rows))
        if self._resident is None:
            # Faster than torch's index_select, and no trouble with read-only maps.
            batch = self._images.take(rows, axis=0)
            if self._flip:
                batch[mirrored] = batch[mirrored][..., ::-1]
            return self._send(batch), labels
        images = self._resident.index_select(0, self._send(rows))
        if self._flip:
            mask = self._send(mirrored).view(-1, 1, 1, 1)
            images = torch.where(mask, images.flip(3), images)
        return images, labels

    def rows(self, start: int, count: int) -> NDArray[np.int64]:
        """Which rows of the data set lie at positions [start, start + count) of the stream."""
        return self._rows(start, count)[0]

    def _send(self, array: NDArray[Any]) -> Tensor:
        """A tensor of a fresh array, on the device; from pinned memory where that helps."""
        tensor = torch.from_numpy(array)
        if self._device.type == "cpu":
            return tensor
        if self._device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)

    def _rows(self, start: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows of the data set behind the positions, and which of them are mirrored."""
        size = self._size
        orders, flips = [], []
        while count > 0:
            epoch, first = divmod(start, size)
            self._enter(epoch)
            here = min(count, size - first)
            orders.append(self._order[first : first + here])
            flips.append(self._mirrored[first : first + here])
            start, count = start + here, count - here
        if len(orders) == 1:
            return orders[0], flips[0]
        return np.concatenate(orders), np.concatenate(flips)

    def _enter(self, epoch: int) -> None:
        """Draw the order of an epoch; the last one drawn is kept, as it serves many batches."""
        if epoch == self._epoch:
            return
        # SeedSequence mixes the two well (torch would keep 32 bits of a seed as they are); torch
        # permutes twice as fast as NumPy. Always on the host: equal on every device.
        sign = (1,) if self._seed < 0 else ()
        state = np.random.SeedSequence((abs(self._seed), epoch, *sign)).generate_state(1)
        generator = torch.Generator().manual_seed(int(state[0]))
        # The order is drawn first, so that it is the same with and without flips.
        self._order = torch.randperm(self._size, generator=generator).numpy()
        if self._flip or self._both:
            coins = torch.randint(2, (self._size,), generator=generator, dtype=torch.bool)
            self._mirrored = coins.numpy()
        self._epoch = epoch


def to_float(images: Tensor, low: float, high: float) -> Tensor:
    """Map stored images to the range a network works in.

    Args:
        images: uint8 in 0..255, any shape; or points, float32 in [0, 1].
        low: what 0 becomes.
        high: what 255 becomes, or the float32 next below it (as for [-1, 1]: 0.99999994); of points
            what 1 becomes.

    Returns:
        new float32 tensor with the shape of `images`, in [low, high].
    """
    if images.is_floating_point():
        return images.mul(high - low).add_(low)
    start, scale = _line(low, high)
    values = images.to(torch.float32)
    # One fused multiply-add over the images; two operations in place take half as long again.
    return torch.add(start, values, alpha=scale, out=values)


@functools.cache
def _line(low: float, high: float) -> tuple[Tensor, float]:
    """Start and slope of the map; the slope is the largest float32 that keeps 255 below `high`."""
    slope = np.float32((high - low) / 255)
    while np.float32(low + 255 * float(slope)) > np.float32(high):
        slope = np.nextafter(slope, np.float32(0))
    return torch.tensor(float(low)), float(slope)


def _room_on(device: torch.device) -> int:
    """Bytes that images may take on an accelerator."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // _SHARE_OF_DEVICE
    return 1 << 30
