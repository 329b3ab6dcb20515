"""How fast batches arrive: Naqsh's loader against torch's DataLoader, over the same pictures.

Both serve shuffled batches of 128 from 60,000 random uint8 pictures of 1x28x28 with labels, held in
memory, and both end with float32 pictures in [-1, 1]. torch's side is the usual one: a
TensorDataset of the uint8 tensors, DataLoader(shuffle=True), and `images.float() / 127.5 - 1` on
the whole batch (converting picture by picture inside the data set would be slower still); it is run
without workers and with two that persist over the epochs. The ratio is taken to the faster of the
two. Not compared: decoding files, which Naqsh does once before training, and indexing a tensor by
hand, which is what the loader does inside.

Each side is timed over whole epochs, in turn, and the median of the rounds counts.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.utils.data import DataLoader, TensorDataset

from naqsh.data import Loader, to_float

TARGET = 10.0
PICTURES = 60_000
BATCH = 128
ROUNDS = 7


def main() -> int:
    # One core a side: a batch this small is not worth sharing, and threads only add noise.
    torch.set_num_threads(1)
    # In a process that trains, larger tensors have come and gone; before the first has, the C
    # library gives the memory of each batch back and faults it in again, which swamps either side.
    torch.zeros(1 << 22)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (PICTURES, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (PICTURES,), generator=generator)
    loader = Loader(images.numpy(), labels.numpy(), seed=0)

    def ours(epoch: int) -> int:
        seen = 0
        while seen < PICTURES:
            count = min(BATCH, PICTURES - seen)
            batch, _ = loader.take(epoch * PICTURES + seen, count)
            seen += len(to_float(batch, -1, 1))
        return seen

    pairs = TensorDataset(images, labels)

    def torch_side(feed: DataLoader[tuple[torch.Tensor, ...]]) -> Callable[[int], int]:
        return lambda epoch: sum(len(batch.float() / 127.5 - 1) for batch, _ in feed)

    sides = {
        "naqsh": ours,
        "torch, 0 workers": torch_side(DataLoader(pairs, BATCH, shuffle=True)),
        "torch, 2 workers": torch_side(
            DataLoader(pairs, BATCH, shuffle=True, num_workers=2, persistent_workers=True)
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for epoch in range(ROUNDS + 1):
        for name, side in sides.items():
            begun = time.perf_counter()
            seen = side(epoch)
            if epoch:  # the first round warms caches and starts the workers
                rates[name].append(seen / (time.perf_counter() - begun))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"{name:17} {rate:12,.0f} pictures/s  (of {ROUNDS} epochs)")
    ratio = medians["naqsh"] / max(rate for name, rate in medians.items() if name != "naqsh")
    print(f"loader: ratio {ratio:.1f} (target {TARGET})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
