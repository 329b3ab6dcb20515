"""The stream of training pictures, as a pure function of a seed and a position.

Training reads an endless stream: position p is entry p mod N of the order of epoch p div N, and
that order is a permutation drawn from (seed, epoch) alone. So the loader has no state to save (a
checkpoint keeps one integer, the number of pictures seen), a rank of many takes its slice of the
global batch by position, and a batch may reach over the end of an epoch.

No Python runs per picture: a batch is one gather of rows and one conversion.
"""

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Read-only arrays cannot be handed to torch without a warning, and a batch is copied out anyway, so
# on the host the rows are gathered by NumPy into a tensor that is ours.

_SHARE_OF_DEVICE = 8


class Loader:
    """Serves batches of a data set from a seeded, stateless stream."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64] | None,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        flip: bool = False,
    ):
        """Set up the stream; nothing is read yet unless the pictures go to an accelerator.

        On an accelerator the pictures are kept there as uint8 when they take at most an eighth of
        its free memory; otherwise each batch crosses over from pinned memory.

        Args:
            images: uint8 with shape (N, C, H, W), N >= 1, contiguous; may be a memory map.
            labels: int64 with shape (N,), or None.
            seed: zero or more; fixes the order of every epoch and which pictures are mirrored.
            device: where batches are wanted.
            flip: mirror each picture left to right with probability 1/2.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) == 0:
            raise ValueError(f"need uint8 (N >= 1, C, H, W), got {images.dtype} {images.shape}")
        if labels is not None and labels.shape != (len(images),):
            raise ValueError(f"{len(images)} pictures, but labels of shape {labels.shape}")
        if seed < 0:
            raise ValueError(f"the seed must be zero or more, got {seed}")
        self._seed = seed
        self._device = torch.device(device)
        self._flip = flip
        self._images = np.ascontiguousarray(images)
        self._labels = None if labels is None else np.ascontiguousarray(labels, dtype=np.int64)
        self._resident: Tensor | None = None
        if self._device.type != "cpu" and images.nbytes <= _room_on(self._device):
            self._resident = torch.from_numpy(np.array(self._images)).to(self._device)
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)
        self._mirrored = np.empty(0, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._images)

    def take(self, start: int, count: int) -> tuple[Tensor, Tensor | None]:
        """The pictures at positions [start, start + count) of the stream.

        Args:
            start: first position, zero or more; with R ranks of batch B, rank r takes its step s
                at ``(s * R + r) * B``.
            count: how many, one or more; may be larger than the data set.

        Returns:
            uint8 pictures with shape (count, C, H, W) and int64 labels with shape (count,) or None,
            both on the loader's device and owned by the caller.
        """
        if start < 0 or count < 1:
            raise ValueError(f"need start >= 0 and count >= 1, got {start} and {count}")
        rows, mirrored = self._rows(start, count)
        labels = None
        if self._labels is not None:
            labels = torch.from_numpy(self._labels[rows]).to(self._device, non_blocking=True)
        if self._resident is None:
            return self._gather(rows, mirrored), labels
        index = torch.from_numpy(rows).to(self._device, non_blocking=True)
        images = self._resident.index_select(0, index)
        if self._flip:
            mask = torch.from_numpy(mirrored).to(self._device, non_blocking=True)
            images = torch.where(mask.view(-1, 1, 1, 1), images.flip(3), images)
        return images, labels

    def _gather(self, rows: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
        """Rows of a set that stays on the host, copied and sent to where they are wanted."""
        pin = self._device.type == "cuda"
        batch = torch.empty((len(rows), *self._images.shape[1:]), dtype=torch.uint8, pin_memory=pin)
        # mode "clip" spares NumPy a second buffer; the rows are in range by construction.
        there = batch.numpy()
        np.take(self._images, rows, axis=0, out=there, mode="clip")
        if self._flip:
            there[mirrored] = there[mirrored][..., ::-1]
        return batch.to(self._device, non_blocking=True)

    def _rows(self, start: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows of the data set behind the positions, and which of them are mirrored."""
        size = len(self._images)
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
        state = np.random.SeedSequence((self._seed, epoch)).generate_state(1)
        generator = torch.Generator().manual_seed(int(state[0]))
        # The order is drawn first, so that it is the same with and without flips.
        self._order = torch.randperm(len(self._images), generator=generator).numpy()
        if self._flip:
            coins = torch.randint(2, (len(self._images),), generator=generator, dtype=torch.bool)
            self._mirrored = coins.numpy()
        self._epoch = epoch


def to_float(images: Tensor, low: float, high: float) -> Tensor:
    """Map stored pictures to the range a network works in.

    Args:
        images: uint8 in 0..255, any shape.
        low: what 0 becomes.
        high: what 255 becomes, or the float32 next below it (as for [-1, 1]: 0.99999994).

    Returns:
        new float32 tensor with the shape of `images`, in [low, high].
    """
    values = images.to(torch.float32)
    # One fused multiply-add over the pictures; two operations in place take half as long again.
    return torch.add(torch.tensor(float(low)), values, alpha=_scale(low, high), out=values)


@functools.cache
def _scale(low: float, high: float) -> float:
    """The largest float32 with which 255 does not pass `high`."""
    scale = np.float32((high - low) / 255)
    while np.float32(low + 255 * float(scale)) > np.float32(high):
        scale = np.nextafter(scale, np.float32(0))
    return float(scale)


def _room_on(device: torch.device) -> int:
    """Bytes that pictures may take on an accelerator."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // _SHARE_OF_DEVICE
    return 1 << 30
