"""Flows as methods: likelihood with every Jacobian, shares of pixels, both samplers, recipes."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from naqsh.api import train
from naqsh.core.abilities import Encodes, HasLogProb, Localises, Reconstructs, Samples, Validates
from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.flows.autoregressive import Autoregressive, Inverse
from naqsh.flows.method import FlowMethod
from naqsh.flows.normalise import ActNorm, BatchNormFlow
from naqsh.methods import iaf, maf
from naqsh.recipes import by_name
from naqsh.training.building import build

SHAPE = (3, 4, 2)
SMALL = {"blocks": 2, "hidden": (12, 12)}


def pictures(count: int = 5) -> Tensor:
    """Whole levels, black and white among them."""
    levels = (Noise(4, count).uniform(*SHAPE) * 256).floor()
    levels[0, 0] = 0
    levels[-1, 1] = 255
    return levels / 255


def method(turned: bool = False, **changes: object) -> FlowMethod:
    """A small flow, far from the identity."""
    torch.manual_seed(0)
    spec = (iaf.Spec if turned else maf.Spec)(**{**SMALL, **changes})  # type: ignore[arg-type]
    flow = spec.build(Layout(SHAPE))
    assert isinstance(flow, FlowMethod)
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if "output.weight" in name:
                parameter.mul_(30)
    return flow.eval()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("logit", [None, 0.05])
def test_log_prob_is_the_change_of_variables_from_picture_to_latents(
    turned: bool, logit: float | None
) -> None:
    flow, images = method(turned, logit=logit).double(), pictures(2).double()
    dimensions = math.prod(SHAPE)
    noise = Noise(1, 2)
    place = Noise(1, 2).uniform(dimensions).double()
    values = ((images * 255).round().flatten(1) + place) / 256

    def latents(v: Tensor) -> Tensor:
        """From one dequantised image in [0, 1], written down once more."""
        y = v if logit is None else (logit + (1 - 2 * logit) * v).logit()
        z: Tensor = flow.chain.normalise(y[None])[0][0]
        return z

    for n in range(2):
        jacobian = torch.autograd.functional.jacobian(latents, values[n])
        base = torch.distributions.Normal(0.0, 1.0).log_prob(latents(values[n])).sum()
        expected = base + torch.linalg.slogdet(jacobian)[1]
        torch.testing.assert_close(flow.log_prob(images, noise.part(0, 2))[n], expected)


@pytest.mark.parametrize("turned", [False, True])
def test_surprise_sums_to_the_log_prob(turned: bool) -> None:
    flow, images = method(turned), pictures()
    with torch.no_grad():
        parts = flow.surprise(images, Noise(1, 5))
        whole = flow.log_prob(images, Noise(1, 5))
    assert parts.shape == (5, *SHAPE[1:])
    torch.testing.assert_close(parts.sum((1, 2)), -whole, rtol=1e-5, atol=1e-4)


def test_with_one_block_a_pixels_share_is_its_conditional() -> None:
    # Changing a pixel changes no share of those before it.
    flow, images = method(blocks=1), pictures(1)
    other = images.clone()
    other[0, 2, 1, 1] = 1 - other[0, 2, 1, 1].round()
    with torch.no_grad():
        before = flow._terms(images, Noise(1, 1))[0]
        after = flow._terms(other, Noise(1, 1))[0]
    place = (2 * SHAPE[1] + 1) * SHAPE[2] + 1
    assert torch.equal(before[:place], after[:place])
    assert before[place] != after[place]


def test_losses_are_nats_and_bits() -> None:
    flow, batch = method(), Batch(pictures(), None, Noise(1, 5))
    told = flow.validation(batch)
    nats = -flow.log_prob(pictures(), Noise(1, 5)).mean()
    dimensions = math.prod(SHAPE)
    torch.testing.assert_close(told["total"], nats)
    torch.testing.assert_close(told["bits"], (nats / dimensions + math.log(256)) / math.log(2))


def test_an_identity_has_the_normals_density() -> None:
    flow = method(logit=None)
    with torch.no_grad():
        for layer in flow.chain.layers:
            assert isinstance(layer, Autoregressive)
            layer.made.output.weight.zero_()
    place = Noise(1, 5).uniform(math.prod(SHAPE))
    values = ((pictures() * 255).round().flatten(1) + place) / 256
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(values).sum(1)
    torch.testing.assert_close(flow.log_prob(pictures(), Noise(1, 5)).detach(), expected)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("normalisation", ["none", "actnorm", "batch"])
def test_there_and_back_is_the_same_picture(turned: bool, normalisation: str) -> None:
    flow = method(turned, normalisation=normalisation)
    # What the normalisations measure comes from training batches.
    flow.train().losses(Batch(pictures(), None, Noise(1, 5)), 0)
    flow.eval()
    with torch.no_grad():
        codes, back = flow.encode(pictures()), flow.reconstruct(pictures())
    assert codes.shape == (5, math.prod(SHAPE))
    # A logit of 1e-6 stretches float32's rounding; a hundredth of a level.
    torch.testing.assert_close(back, pictures(), rtol=0, atol=0.01 / 255)


def test_both_samplers_give_the_same_pictures() -> None:
    flow = method()
    with torch.no_grad():
        fast, naive = flow.sample(Noise(1, 4)), flow.sample(Noise(1, 4), sampler="naive")
    torch.testing.assert_close(fast, naive, rtol=0, atol=1e-5)


def test_temperature_scales_the_latents() -> None:
    flow = method()
    with torch.no_grad():
        usual = flow.sample(Noise(1, 4), temperature=0.5)
        torch.testing.assert_close(usual, flow.decode(0.5 * Noise(1, 4).normal(24)))
        still = flow.sample(Noise(1, 4), temperature=0.0)
    # Rows of one product may be summed in different orders: in each of two blocks 24 values follow
    # from one another, each by sums of 12 terms; images lie in [0, 1].
    rounding = 2 * 24 * 12 * torch.finfo(torch.float32).eps
    torch.testing.assert_close(still[0], still[1], rtol=0, atol=rounding)


def test_iaf_is_the_same_network_turned_round() -> None:
    one, other = method(), method(turned=True)
    forward, inverse = one.chain.layers[1], other.chain.layers[1]
    assert isinstance(forward, Autoregressive)
    assert isinstance(inverse, Inverse)
    inverse.inner.load_state_dict(forward.state_dict())
    assert inverse.inner.reverse == forward.reverse is True
    z = Noise(1, 3).normal(24)
    with torch.no_grad():
        torch.testing.assert_close(inverse.inverse(z), forward(z)[0])


def test_layers_are_what_the_numbers_say() -> None:
    layers = list(method(normalisation="actnorm", blocks=3).chain.layers)
    assert [type(one) for one in layers] == [ActNorm, Autoregressive] * 3
    blocks = [one for one in layers if isinstance(one, Autoregressive)]
    assert [one.reverse for one in blocks] == [False, True, False]
    assert isinstance(method(normalisation="batch").chain.layers[0], BatchNormFlow)
    for changes in ({"blocks": 0}, {"hidden": ()}, {"hidden": (4, 0)}, {"bound": 0.0}):
        with pytest.raises(ValueError, match=r"at least 1|above 0"):
            maf.Spec(**changes)  # type: ignore[arg-type]
    with pytest.raises(NaqshError, match="logit must lie between"):
        build(by_name("maf-digits").override({"method.logit": 0.5}), Layout(SHAPE))


def test_a_flow_can_do_all_that_a_flow_can() -> None:
    for turned in (False, True):
        flow = method(turned)
        for what in (Samples, Encodes, Reconstructs, HasLogProb, Localises, Validates):
            assert isinstance(flow, what)
        assert (flow.log_prob_kind, flow.log_prob_of) == ("exact", "density")


def test_autocast_changes_nothing() -> None:
    flow = method()
    with torch.no_grad():
        plain = flow.log_prob(pictures(), Noise(1, 5))
        with torch.autocast("cpu", torch.bfloat16):
            cast = flow.log_prob(pictures(), Noise(1, 5))
            images = flow.sample(Noise(1, 4))
    assert torch.equal(plain, cast)
    torch.testing.assert_close(images, flow.sample(Noise(1, 4)).detach(), rtol=0, atol=0)


def test_a_run_is_trained_validated_and_sampled(alone: Path) -> None:
    tiny = {"method.hidden": (8,), "method.blocks": 2, "training.batch": 64, "training.steps": 30}
    trained = train("maf-digits", overrides=tiny, quiet=True, device="cpu")
    assert trained.best_validation() is not None
    assert trained.sample(3, temperature="0.7", sampler="fast").shape == (3, 1, 16, 16)
    with pytest.raises(NaqshError, match="sampler"):
        trained.sample(1, sampler="quick")
