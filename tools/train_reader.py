"""Train the reader of rendered scenes and put its weights into the package.

    python tools/train_reader.py            # 1,500 steps, some two minutes of one core

Scenes are drawn for it, of all pairs of a colour and a shape; none is of the set `shapes`. Noise
and blur are added, since it is to read what models make. Its accuracy on the set's test images goes
into the file.
"""

import argparse
import time

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, cross_entropy, pad

from naqsh.data import load, scenes
from naqsh.metrics import reading
from naqsh.networks.reader import SIDE, Reader

BATCH = 66


def batch(step: int, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Fresh scenes in [-1, 1], a third of them with noise, a third blurred; and their factors."""
    chance = scenes.numbers("reader", str(step), BATCH, scenes.NUMBERS)
    shown = scenes.scenes("all", chance)
    images = np.concatenate(list(scenes.render(shown, chance, SIDE)))
    seen = torch.from_numpy(images).float() / 127.5 - 1
    third = BATCH // 3
    level = 0.4 * torch.rand(third, 1, 1, 1, generator=generator)
    seen[:third] += level * torch.randn(seen[:third].shape, generator=generator)
    blurred = avg_pool2d(pad(seen[-third:], (1, 1, 1, 1), "replicate"), 3, 1)
    seen[-third:] += torch.rand(third, 1, 1, 1, generator=generator) * (blurred - seen[-third:])
    told = scenes.told(shown)
    return seen, {name: torch.from_numpy(column) for name, column in told.items()}


def main() -> int:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1500)
    steps = parser.parse_args().steps
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    reader = Reader({name: len(values) for name, values in scenes.FACTORS.items()})
    optimizer = torch.optim.Adam(reader.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    began = time.monotonic()
    for step in range(steps):
        seen, told = batch(step, generator)
        scores = reader(seen)
        losses = [cross_entropy(scores[name], told[name], ignore_index=-1) for name in scores]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            total = sum(loss.item() for loss in losses)
            print(f"{step + 1} {total:.3f} {time.monotonic() - began:.0f} s", flush=True)
    test = load("shapes", split="test")
    truth = scenes.told(
        scenes.scenes("test", scenes.numbers("scenes", "test", len(test), scenes.NUMBERS))
    )
    found = {
        name: score.argmax(1) for name, score in reading.scores(reader.eval(), test.images).items()
    }
    right = {name: (found[name] == truth[name])[truth[name] >= 0] for name in truth}
    said = ", ".join(f"{name} {share.mean():.4f}" for name, share in right.items())
    print(said)
    about = {"command": f"python tools/train_reader.py --steps {steps}", "test_accuracy": said}
    reading.save(reader, reading.WEIGHTS, about)
    print(f"{reading.WEIGHTS.name}: {reading.WEIGHTS.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
