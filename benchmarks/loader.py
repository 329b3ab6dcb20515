"""How fast batches arrive: Naqsh's loader against torch's DataLoader, over the same images.

Both serve shuffled batches of 128 from 60,000 random uint8 images of 1x28x28 with labels, held in
memory, and both end with float32 images in [-1, 1]. torch's side is the usual one: a
TensorDataset of the uint8 tensors, DataLoader(shuffle=True), and `images.float() / 127.5 - 1` on
the whole batch (converting image by image inside the data set would be slower still); it is run
without workers and with two that persist over the epochs. The ratio is taken to the faster of the
two. Not compared: decoding files, which Naqsh does once before training, and indexing a tensor by
hand, which is what the loader does inside.

The sides are timed in turn, in many slices of equal time, and the median slice of each counts: a
burst of other work on the machine then hits few slices of each instead of one side.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from naqsh.data import Loader, to_float

TARGET = 10.0
PICTURES = 60_000
BATCH = 128
SECONDS = 0.25  # of a slice
ROUNDS = 30

Side = Callable[[], int]  # makes one batch, tells how many images it has


def ours(loader: Loader) -> Side:
    starts = itertools.count(0, BATCH)
    return lambda: len(to_float(loader.take(next(starts), BATCH)[0], -1, 1))


def theirs(loader: DataLoader[tuple[Tensor, ...]]) -> Side:
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    return lambda: len(next(batches)[0].float() / 127.5 - 1)


def rate(side: Side) -> float:
    """Images per second in one slice."""
    seen, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < SECONDS:
        seen += side()
    return seen / passed


def main() -> int:
    # One core a side: a batch this small is not worth sharing, and threads only add noise.
    torch.set_num_threads(1)
    # In a process that trains, larger tensors have come and gone; before the first has, the C
    # library gives the memory of each batch back and faults it in again, which swamps either side.
    torch.zeros(1 << 22)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (PICTURES, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (PICTURES,), generator=generator)
    pairs = TensorDataset(images, labels)
    sides = {
        "naqsh": ours(Loader(images.numpy(), labels.numpy(), seed=0)),
        "torch, 0 workers": theirs(DataLoader(pairs, BATCH, shuffle=True)),
        "torch, 2 workers": theirs(
            DataLoader(pairs, BATCH, shuffle=True, num_workers=2, persistent_workers=True)
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(ROUNDS + 1):
        for name, side in sides.items():
            measured = rate(side)
            if turn:  # the first slice warms caches and starts the workers
                rates[name].append(measured)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        print(f"{name:17} {median:12,.0f} images/s")
    ratio = medians["naqsh"] / max(value for name, value in medians.items() if name != "naqsh")
    print(f"loader: ratio {ratio:.1f} (target {TARGET})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
