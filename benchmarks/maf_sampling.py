"""Five samples of a MAF, 7 blocks of 512 and 512 units, D = 3072: ours against zuko and nflows.

A sample of theirs takes D passes of each block's network. A few of these passes are timed, and the
sum of all is computed from them: one after the other they would take minutes. Ours is timed whole,
from the same normal numbers to vectors. Target: 300 times as fast as the faster of the two.

Beside it, what the two have no time for: five samples at D = 49152 (128x128x3) in under 2 seconds.
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch

from naqsh.flows.autoregressive import Autoregressive
from naqsh.flows.method import Chain

TARGET, TARGET_SECONDS = 300.0, 2.0
BLOCKS, HIDDEN, SAMPLES = 7, 512, 5
PASSES, REPEATS = 8, 5


def timed(call: Callable[[], object], repeats: int) -> float:
    """The median of the seconds of a call, after one to warm up."""
    call()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def ours(features: int) -> float:
    """Seconds of five samples."""
    layers = [
        Autoregressive(features, (HIDDEN, HIDDEN), reverse=number % 2 == 1)
        for number in range(BLOCKS)
    ]
    chain, z = Chain(layers), torch.randn(SAMPLES, features)
    return timed(lambda: chain(z), REPEATS)


def zuko(features: int) -> float | None:
    """Seconds of one pass of each of the blocks, times the number of passes."""
    try:
        import zuko
    except ImportError as error:
        print(f"zuko is not here: {error}")
        return None
    flow = zuko.flows.MAF(features, 0, transforms=BLOCKS, hidden_features=(HIDDEN, HIDDEN))
    z = torch.randn(SAMPLES, features)
    blocks = [lazy() for lazy in flow.transform.transforms]
    return features * timed(lambda: [block.meta(z).inv(z) for block in blocks], PASSES)


def nflows(features: int) -> float | None:
    """The same for nflows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nflows.transforms.autoregressive import MaskedAffineAutoregressiveTransform
    except ImportError as error:
        print(f"nflows is not here: {error}")
        return None
    blocks = [
        MaskedAffineAutoregressiveTransform(
            features, HIDDEN, num_blocks=1, use_residual_blocks=False
        )
        for _ in range(BLOCKS)
    ]
    z = torch.randn(SAMPLES, features)

    def one_pass() -> None:
        for block in blocks:
            block._elementwise_inverse(z, block.autoregressive_net(z))

    return features * timed(one_pass, PASSES)


@torch.no_grad()
def main() -> int:
    features = 3072
    others = {"zuko": zuko(features), "nflows": nflows(features)}
    known = {name: seconds for name, seconds in others.items() if seconds is not None}
    if not known:
        print("maf_sampling: neither zuko nor nflows is installed (pip install zuko nflows)")
        return 2
    for name, seconds in known.items():
        print(
            f"{name}: {seconds:.1f} s for {SAMPLES} samples, D = {features} "
            f"(the median of {PASSES} of its {features} passes, times {features})"
        )
    mine = ours(features)
    print(f"ours: {mine:.3f} s for {SAMPLES} samples, D = {features} (timed whole)")
    large = ours(49152)
    print(f"ours: {large:.3f} s for {SAMPLES} samples, D = 49152 (target {TARGET_SECONDS})")
    ratio = min(known.values()) / mine
    print(f"maf_sampling: ratio {ratio:.0f} (target {TARGET:.0f})")
    return 0 if ratio >= TARGET and large < TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
