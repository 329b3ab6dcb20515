"""Networks compute in the precision that is asked for; what they are asked about stays float32."""

import pytest
import torch

from naqsh.core.noise import Noise
from naqsh.core.precision import autocast_dtype
from naqsh.core.spec import Layout
from naqsh.diffusion.samplers import Ddim
from naqsh.methods.diffusion import Spec


def test_precision():
    cpu = torch.device("cpu")
    assert autocast_dtype("float32", cpu) is torch.float32
    assert autocast_dtype("bfloat16", cpu) is torch.bfloat16
    assert autocast_dtype("auto", cpu) in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bfloat16_where_the_hardware_has_it(fast, dtype, monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast, raising=False)
    assert autocast_dtype("auto", cpu) is dtype
    assert autocast_dtype("float32", cpu) is torch.float32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9 if fast else 7, 0))
    assert autocast_dtype("auto", torch.device("cuda")) is dtype


def test_auto_without_the_question_is_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert autocast_dtype("auto", torch.device("cpu")) is torch.float32


def test_a_sampler_in_bfloat16_makes_nearly_the_same_pictures():
    torch.manual_seed(0)
    # What is asked for is the clean image: errors of the noise would grow at the first steps.
    spec = Spec(width=8, multipliers=(1, 2), parameterisation="x0")
    method = spec.build(Layout((1, 8, 8))).eval()
    for parameter in method.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    seen = []
    method.sampling_network.first.register_forward_hook(lambda *told: seen.append(told[2].dtype))

    def sample(precision):
        with torch.inference_mode():
            return method.sample(Noise(0, 4), Ddim(4, clip=True), precision=precision)

    exact, rounded = sample("float32"), sample("bfloat16")
    assert seen == [torch.float32] * 4 + [torch.bfloat16] * 4
    assert rounded.dtype == torch.float32
    # bfloat16 has 8 bits: about 20 layers of relative error 2^-9 each, on numbers of order 1.
    assert 0 < (exact - rounded).abs().max() < 20 * 2**-9
