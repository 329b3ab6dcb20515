"""A training step of a MAF, 7 blocks of 512 and 512 units, D = 3072, batch 8: ours, zuko, nflows.

Each step is forward, backward and Adam (fused for all three) on given vectors. By turns, medians.
Target: 1.5 times as fast as the faster of the two.

Beside it, in a process of its own, the peak of resident memory of three training steps of the
method of maf-capsule (D = 49152, batch 8): under 6 GiB. Its time is printed too.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable

import torch

from naqsh import recipes
from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.flows.autoregressive import Autoregressive
from naqsh.flows.method import Chain

TARGET, TARGET_MEMORY = 1.5, 6.0
FEATURES, BLOCKS, HIDDEN, BATCH = 3072, 7, 512, 8
ROUNDS, STEPS = 7, 3


def adam(parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-4, fused=True)


def step_of(
    module: torch.nn.Module, log_prob: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[], None]:
    """A training step on random vectors."""
    optimizer, x = adam(module.parameters()), torch.randn(BATCH, FEATURES)

    def step() -> None:
        optimizer.zero_grad()
        (-log_prob(x).mean()).backward()
        optimizer.step()

    return step


def ours() -> Callable[[], None]:
    hidden = (HIDDEN, HIDDEN)
    chain = Chain([Autoregressive(FEATURES, hidden, reverse=n % 2 == 1) for n in range(BLOCKS)])

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        z, log_det = chain.normalise(x)
        return (log_det - z.square() / 2).sum(1)

    return step_of(chain, log_prob)


def zuko() -> Callable[[], None] | None:
    try:
        import zuko
    except ImportError as error:
        print(f"zuko is not here: {error}")
        return None
    flow = zuko.flows.MAF(FEATURES, 0, transforms=BLOCKS, hidden_features=(HIDDEN, HIDDEN))
    return step_of(flow, lambda x: flow().log_prob(x))


def nflows() -> Callable[[], None] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nflows.flows.autoregressive import MaskedAutoregressiveFlow
    except ImportError as error:
        print(f"nflows is not here: {error}")
        return None
    flow = MaskedAutoregressiveFlow(FEATURES, HIDDEN, BLOCKS, 1, use_residual_blocks=False)
    return step_of(flow, flow.log_prob)


def timed(step: Callable[[], None]) -> float:
    """Seconds a step, over STEPS steps."""
    begun = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - begun) / STEPS


def large() -> None:
    """Three steps at D = 49152; prints the best time and the peak of memory in GiB."""
    method = recipes.by_name("maf-capsule").method.build(Layout((3, 128, 128)))
    (phase,) = method.phases()
    optimizer = phase.optimizer.build(phase.parameters())
    seconds = []
    for number in range(3):
        images = (Noise(number, BATCH).uniform(3, 128, 128) * 255).round() / 255
        begun = time.perf_counter()
        phase.loss(Batch(images, None, Noise(number, BATCH)), number)["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - begun)
    unit = 2**30 if sys.platform == "darwin" else 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"{min(seconds):.3f} {peak:.3f}")


def main() -> int:
    steps = {"ours": ours(), "zuko": zuko(), "nflows": nflows()}
    known = {name: step for name, step in steps.items() if step is not None}
    if len(known) < 2:
        print("maf_step: neither zuko nor nflows is installed (pip install zuko nflows)")
        return 2
    for step in known.values():
        timed(step)
    rounds = [{name: timed(step) for name, step in known.items()} for _ in range(ROUNDS)]
    seconds = {name: statistics.median(one[name] for one in rounds) for name in known}
    for name, value in seconds.items():
        print(f"{name}: {value * 1e3:.0f} ms a step, D = {FEATURES}, batch {BATCH}")
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, __file__, "large"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    best, peak = (float(word) for word in done.stdout.split())
    print(f"ours: {best:.2f} s a step, D = 49152, peak {peak:.2f} GiB (target {TARGET_MEMORY:g})")
    ratio = min(value for name, value in seconds.items() if name != "ours") / seconds["ours"]
    print(f"maf_step: ratio {ratio:.2f} (target {TARGET})")
    return 0 if ratio >= TARGET and peak < TARGET_MEMORY else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["large"]:
        large()
    else:
        sys.exit(main())
