"""What an optimiser remembers is laid out in memory as its weights are, also after a resume."""

from pathlib import Path

import pytest
import torch

from naqsh.recipes import by_name
from small import tiny, tiny_data, trainer


@pytest.mark.parametrize("name", ["vae-digits", "gan-digits", "ddpm-digits"])
def test_moments_lie_in_memory_as_their_weights_do(name: str, tmp_path: Path) -> None:
    """The fused kernels pair them by their place in memory, whatever their strides say."""
    small = tiny(by_name(name), training__steps=2)
    first = trainer(small, tiny_data(1), tmp_path)
    first.run()
    again = trainer(small, tiny_data(1), tmp_path)
    again.restore()
    for phase, optimizer in again.optimizers.items():
        theirs = first.optimizers[phase]
        pairs = (o.param_groups[0]["params"] for o in (optimizer, theirs))
        for parameter, before in zip(*pairs, strict=True):
            for key, kept in optimizer.state[parameter].items():
                assert torch.equal(kept, theirs.state[before][key])
                assert key == "step" or kept.stride() == parameter.stride()
