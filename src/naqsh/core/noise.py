r"""Random numbers that belong to an image, not to a batch, a rank or a device.

Every number is a pure function of its address (seed, purpose, image, draw, element), computed by
the counter-based generator Philox4x32-10: a block cipher whose plain text is the counter and whose
key is the seed. Nothing is remembered between draws, hence

* the noise of image 17 of seed 0 is the same whatever the batch size, the ranks or the device (its
  whole numbers to the bit, normal ones but for the rounding of their logarithms and cosines),
* two ranks that each take half of a batch see just the noise that one rank would have seen, and
* a checkpoint holds no generator state: the step's number is all there is to remember.

PyTorch's own generators are sequential on the CPU, so none of the three holds for them.

References:
    Parallel Random Numbers: As Easy as 1, 2, 3 (Salmon et al., 2011), SC'11,
    doi:10.1145/2063384.2063405.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from naqsh.core.seeds import derive as derive

Words = TypeVar("Words", Tensor, npt.NDArray[np.int64])

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = 0xFFFFFFFF


def philox(counter: Sequence[Words], seed: int | Words) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10: four 32-bit words of random bits for each counter of four words.

    Args:
        counter: four int64 tensors, or NumPy arrays, of one shape, each entry in [0, 2^32).
        seed: the 64-bit key, or one for each counter, at most 63 bits in the latter case.

    Returns:
        four int64 tensors or arrays of that shape with entries in [0, 2^32).
    """
    a, b, c, d = counter
    key_a, key_b = seed & LOW, seed >> 32 & LOW
    for _ in range(10):
        # The product of two 32-bit words wraps into int64's sign bit; its bits are still right.
        product_a, product_c = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a = (product_c >> 32 & LOW) ^ (b ^ key_a)
        c = (product_a >> 32 & LOW) ^ (d ^ key_b)
        b, d = product_c & LOW, product_a & LOW
        key_a, key_b = key_a + WEYL[0] & LOW, key_b + WEYL[1] & LOW
    return a, b, c, d


class Noise:
    """The random numbers of a block of numbered images; each call is one further draw.

    Args:
        seed: the stream, usually from :func:`derive`.
        first: the number of the block's first image.
        count: how many images the block has.
        device: where the numbers are made and stay.

    Example:
        >>> whole, rest = Noise(0, 4).normal(3), Noise(0, 2, first=2).normal(3)
        >>> bool((whole[2:] == rest).all())
        True
    """

    def __init__(
        self, seed: int, count: int, first: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.seed, self.first, self.count = seed, first, count
        self.device = torch.device(device)
        self.draws = 0

    def __len__(self) -> int:
        return self.count

    def part(self, start: int, count: int) -> "Noise":
        """The numbers of `count` images from the block's `start`-th on, from the first draw."""
        return Noise(self.seed, count, self.first + start, self.device)

    def bits(self, elements: int) -> Tensor:
        """Raw random words: int64 in [0, 2^32) with shape (count, 4 * ceil(elements / 4))."""
        blocks = -(-elements // 4)
        numbers = range(self.first, self.first + self.count)
        draw, self.draws = self.draws, self.draws + 1
        if self.device.type == "cpu":
            return _bits(np.array(numbers), self.seed, draw, blocks)
        if self.device.type == "meta":  # shapes alone, for which PyTorch's rules in Python are slow
            return torch.empty(self.count, 4 * blocks, dtype=torch.int64, device="meta")
        picture = torch.arange(numbers.start, numbers.stop, device=self.device)
        picture = picture.repeat_interleave(blocks)
        block = torch.arange(blocks, device=self.device).repeat(self.count)
        counter = (block, torch.full_like(block, draw), picture & LOW, picture >> 32)
        return torch.stack(philox(counter, self.seed), dim=-1).view(self.count, -1)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in (0, 1): float32 with shape `(count, *shape)`."""
        elements = math.prod(shape)
        # 24 bits fill float32's mantissa; the half step keeps 0 and 1 out, as logarithms need.
        bits = (self.bits(elements)[:, :elements] >> 8).float()
        return bits.add_(0.5).mul_(2.0**-24).clamp_(max=1 - 2.0**-24).view(self.count, *shape)

    def normal(self, *shape: int) -> Tensor:
        r"""Standard normal numbers: float32 with shape `(count, *shape)`.

        Two of them from two uniforms, :math:`\sqrt{-2 \ln u}\,(\cos 2\pi v, \sin 2\pi v)` (Box and
        Muller, 1958). The radius uses all 32 bits, so the tails reach 6.7 standard deviations.
        """
        elements = math.prod(shape)
        words = self.bits(elements)
        half = words.shape[1] // 2
        # The half step is lost in float32's rounding for large words, where log(1) = 0 is right.
        radius = words[:, :half].float().add_(0.5).mul_(2.0**-32).clamp_(max=1).log_().mul_(-2)
        radius.sqrt_()
        angle = words[:, half:].float().mul_(2 * math.pi * 2.0**-32)
        numbers = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return numbers[:, :elements].reshape(self.count, *shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Whole numbers evenly from 0 to high - 1 (high up to 2^31): int64 `(count, *shape)`."""
        elements = math.prod(shape)
        return (self.bits(elements)[:, :elements] * high >> 32).view(self.count, *shape)


def _bits(
    numbers: npt.NDArray[np.int64], seed: int | npt.NDArray[np.int64], draw: int, blocks: int
) -> Tensor:
    """As :meth:`Noise.bits`, by NumPy, whose small operations cost a fifth of PyTorch's.

    Args:
        numbers: of the images, with shape (N,).
        seed: of all of them, or of each.
        draw: which.
        blocks: of four words each, for one image.
    """
    row, column = np.repeat(numbers, blocks), np.tile(np.arange(blocks), len(numbers))
    key = seed if isinstance(seed, int) else np.repeat(seed, blocks)
    address = (column, np.full_like(column, draw), row & LOW, row >> 32)
    return torch.from_numpy(np.stack(philox(address, key), -1)).view(len(numbers), -1)


class Noises(Noise):
    """The random numbers of several blocks as those of one, the first image of each first.

    Networks that are trained side by side draw by it what each of them would draw alone.

    Args:
        blocks: equally long, of which nothing is drawn yet, all on the CPU.
    """

    def __init__(self, blocks: Sequence[Noise]) -> None:
        super().__init__(blocks[0].seed, sum(map(len, blocks)), blocks[0].first)
        numbers = [np.arange(block.first, block.first + block.count) for block in blocks]
        self._numbers = np.stack(numbers, 1).ravel()
        self._seeds = np.tile(np.array([block.seed for block in blocks], np.int64), len(blocks[0]))

    def part(self, start: int, count: int) -> Noise:
        """Not to be had: a part of several blocks is none."""
        raise NotImplementedError("a part of several blocks of noise")

    def bits(self, elements: int) -> Tensor:
        """As :meth:`Noise.bits`, in one pass over all blocks."""
        draw, self.draws = self.draws, self.draws + 1
        return _bits(self._numbers, self._seeds, draw, -(-elements // 4))
