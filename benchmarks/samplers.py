"""Images per second of the small U-Net on 28x28 by sampler, against a plain loop.

The plain loop is what one writes first: DDIM with 50 evaluations of the same network, 500 images
at once, its coefficients as tensors, in float32. Ours takes 100 at once, as `naqsh sample` does: of
8 to 500 the network was fastest at 64 to 100 on two cores (in bfloat16 2,093 evaluations a second,
1,642 at 25, 1,625 at 500). Two ratios, both of DDIM with 50 evaluations on both sides: at equal
precision, and with `--precision auto` (bfloat16 where the hardware multiplies it), which is what
the target is for. Better samplers with fewer evaluations are listed below; how good their images
are is measured by `naqsh samplers`. The weights are random: time does not depend on them.
"""

import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.core.spec import Layout, Precision
from naqsh.diffusion.samplers import Ddim, DpmSolver, Heun, Sampler
from naqsh.methods.diffusion import Spec
from naqsh.runs.sampling import SAMPLE_BATCH

TARGET = 2.0
ROUNDS, BATCH, PLAIN_BATCH, PLAIN_STEPS = 3, SAMPLE_BATCH, 500, 50
SHARE = 5
"""The plain loop is timed over a part of its steps, all of which cost the same."""

EQUAL: Sampler = Ddim(PLAIN_STEPS, clip=True)
"""As many evaluations of the network as the plain loop."""

OURS: dict[str, Sampler] = {
    "ddim, 50 steps": EQUAL,
    "ddim, 20 steps": Ddim(20, clip=True),
    "heun, 10 steps": Heun(10, clip=True),
    "dpm-solver++, 20 steps": DpmSolver(20, clip=True),
    "dpm-solver++, 10 steps": DpmSolver(10, clip=True),
}
PRECISIONS: list[Precision] = ["float32", "auto"]


def plain(count: int, steps: int) -> Callable[[], None]:
    """A hand-written DDIM loop over `steps` of the 50 steps."""
    method = Spec().build(Layout((1, 28, 28))).eval()
    network = method.sampling_network
    betas = torch.linspace(1e-4, 0.02, 1000)
    alpha_bar = torch.cat([torch.ones(1), torch.cumprod(1 - betas, 0)])
    times = torch.linspace(1000, 0, PLAIN_STEPS + 1).round().long()

    @torch.no_grad()
    def sample() -> None:
        x = torch.randn(count, 1, 28, 28)
        for t, s in pairwise(times[: steps + 1]):
            epsilon: Tensor = network(x, (t - 1).float().expand(count))
            x0 = (x - (1 - alpha_bar[t]).sqrt() * epsilon) / alpha_bar[t].sqrt()
            x = alpha_bar[s].sqrt() * x0.clamp(-1, 1) + (1 - alpha_bar[s]).sqrt() * epsilon

    return sample


def timed(sample: Callable[[], object]) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    sample()
    return time.perf_counter() - begun


def main() -> int:
    torch.manual_seed(0)
    method = Spec().build(Layout((1, 28, 28))).eval()
    loop = plain(PLAIN_BATCH, PLAIN_STEPS // SHARE)

    def ours(sampler: Sampler, precision: Precision) -> Callable[[], object]:
        def sample() -> Tensor:
            with torch.inference_mode():
                return method.sample(Noise(0, BATCH), sampler, precision=precision)

        return sample

    samples = {
        f"{name}, {precision}": ours(sampler, precision)
        for name, sampler in OURS.items()
        for precision in PRECISIONS
    }
    for precision in PRECISIONS:
        timed(ours(Ddim(2, clip=True), precision))
    rounds = []
    for _ in range(ROUNDS):
        row = {name: timed(sample) / BATCH for name, sample in samples.items()}
        rounds.append(row | {"plain loop": timed(loop) * SHARE / PLAIN_BATCH})
    seconds = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    for name, value in seconds.items():
        print(f"{name}: {1 / value:.1f} images/s ({seconds['plain loop'] / value:.2f} times)")
    # At as many evaluations: fewer of them are a matter of quality, which is not measured here.
    equal, best = (seconds["plain loop"] / seconds[f"ddim, 50 steps, {p}"] for p in PRECISIONS)
    print(f"samplers, equal precision: ratio {equal:.2f}")
    print(f"samplers: ratio {best:.2f} (target {TARGET})")
    return 0 if best >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
