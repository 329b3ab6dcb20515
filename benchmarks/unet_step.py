"""Our U-Net of DDPM's CIFAR-10 model against diffusers' UNet2DModel of the same layers.

Both have 35,746,307 parameters. Timed are a training step (dropout, mean squared error, backward,
fused AdamW) and a forward pass without gradients, on 32x32 images, in rounds that alternate;
ratios are of medians. At equal precision: float32 and, where the hardware multiplies it, bfloat16
by autocast; there also our trainer's own choice, bfloat16, against float32, which is how diffusers'
documentation trains on a CPU.
"""

import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from naqsh.core.precision import autocast_dtype
from naqsh.networks.unet import UNet

TARGET, TARGET_BEST = 1.1, 1.8
ROUNDS, BATCH = 7, 4
SIZE = 35_746_307


class Theirs(nn.Module):
    """diffusers' network with the call of ours."""

    def __init__(self) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        self.network = UNet2DModel(
            sample_size=32,
            block_out_channels=(128, 256, 256, 256),
            layers_per_block=2,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            norm_eps=1e-6,
            dropout=0.1,
        )

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """As ours."""
        noise: Tensor = self.network(x, time).sample
        return noise


def training_step(network: nn.Module, dtype: torch.dtype) -> Callable[[], None]:
    """One update on random images."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
    x, time_ = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 1000, (BATCH,))
    target = torch.randn_like(x)

    def step() -> None:
        network.train()
        with torch.autocast("cpu", dtype, dtype != torch.float32):
            loss = (network(x, time_).float() - target).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def forward_pass(network: nn.Module, dtype: torch.dtype) -> Callable[[], None]:
    """One evaluation, as in sampling."""
    x, time_ = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 1000, (BATCH,))

    def step() -> None:
        network.eval()
        with torch.inference_mode(), torch.autocast("cpu", dtype, dtype != torch.float32):
            network(x, time_)

    return step


def timed(step: Callable[[], None]) -> float:
    """Seconds of one step."""
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def main() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Theirs()
    ours = UNet((3, 32, 32), 128, (1, 2, 2, 2), blocks=2, attention=(16,), dropout=0.1)
    for network in (ours, theirs):
        assert sum(p.numel() for p in network.parameters()) == SIZE
    best = autocast_dtype("auto", torch.device("cpu"))
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, bfloat16 hardware: {best == torch.bfloat16}"
    )
    dtypes = {"float32": torch.float32} | ({"bfloat16": best} if best != torch.float32 else {})
    settings = {
        f"{whose}, {name}": (network, dtype)
        for name, dtype in dtypes.items()
        for whose, network in (("ours", ours), ("diffusers", theirs))
    }
    met = True
    for what, make in (("training step", training_step), ("forward", forward_pass)):
        steps = {name: make(network, dtype) for name, (network, dtype) in settings.items()}
        for step in steps.values():
            timed(step)
        rounds = [{name: timed(step) for name, step in steps.items()} for _ in range(ROUNDS)]
        seconds = {name: statistics.median(one[name] for one in rounds) for name in steps}
        for name, value in seconds.items():
            print(f"{what}, {name}: {value * 1e3:.0f} ms for {BATCH} images")
        for name in dtypes:
            ratio = seconds[f"diffusers, {name}"] / seconds[f"ours, {name}"]
            print(f"unet_step, {what}, both {name}: ratio {ratio:.2f} (target {TARGET})")
            met = met and (ratio >= TARGET or what != "training step")
        if "bfloat16" in dtypes:
            ratio = seconds["diffusers, float32"] / seconds["ours, bfloat16"]
            print(f"unet_step, {what}, best against float32: ratio {ratio:.2f}", end=" ")
            print(f"(target {TARGET_BEST})")
            met = met and (ratio >= TARGET_BEST or what != "training step")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
