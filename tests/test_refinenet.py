"""The RefineNet of score networks: its normalisation against the formula, and what it is told."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.diffusion.method import Denoising
from naqsh.diffusion.schedule import EDM, Geometric
from naqsh.methods import ncsn
from naqsh.networks.refinenet import InstanceNormPlus, RefineNet

IMAGES = Layout((1, 8, 8), ("a", "b"))


def filled(module: torch.nn.Module) -> torch.nn.Module:
    """Weights that nothing of a fresh network's is special about."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


def test_the_normalisation_is_the_formula() -> None:
    """Pixel by pixel in NumPy, for two levels."""
    channels = 5
    norm = filled(InstanceNormPlus(channels, 3))
    x = 3 * Noise(0, 2).normal(channels, 4, 6) + 1
    found = norm(x, torch.tensor([0.0, 2.0])).detach().numpy()
    assert isinstance(norm, InstanceNormPlus)
    learnt = norm.of_level.weight.detach().double().numpy()
    for n, level in enumerate((0, 2)):
        gamma, alpha, beta = learnt[level].reshape(3, channels)
        image = x[n].double().numpy()
        means = np.array([plane.mean() for plane in image])
        far = (means - means.mean()) / math.sqrt(means.var(ddof=1) + 1e-5)
        for c, plane in enumerate(image):
            usual = (plane - means[c]) / math.sqrt(plane.var() + 1e-5)
            expected = gamma[c] * (usual + alpha[c] * far[c]) + beta[c]
            # float32 sums of 24 numbers of a few units.
            np.testing.assert_allclose(found[n, c], expected, atol=2e-5)


def test_instance_normalisation_alone_would_not_see_how_bright_a_channel_is() -> None:
    norm = filled(InstanceNormPlus(3, 1))
    x = Noise(0, 1).normal(3, 4, 4)
    brighter = x + torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    level = torch.zeros(1)
    assert (norm(x, level) - norm(brighter, level)).abs().max() > 0.1
    assert isinstance(norm, InstanceNormPlus)
    with torch.no_grad():
        norm.of_level.weight[:, 3:6] = 0  # without a
    torch.testing.assert_close(norm(x, level), norm(brighter, level), atol=1e-5, rtol=0)


def test_between_two_levels_numbers_lie_on_a_line() -> None:
    norm = filled(InstanceNormPlus(4, 3))
    x = Noise(0, 1).normal(4, 4, 4)
    between = InstanceNormPlus(4, 1)
    assert isinstance(norm, InstanceNormPlus)
    with torch.no_grad():
        between.of_level.weight[0] = torch.tensor([0.75, 0.25]) @ norm.of_level.weight[1:]
    found, expected = norm(x, torch.tensor([1.25])), between(x, torch.zeros(1))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(norm(x, torch.tensor([-0.5])), norm(x, torch.tensor([0.0])))
    assert torch.equal(norm(x, torch.tensor([7.0])), norm(x, torch.tensor([2.0])))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 14, 6)])
def test_every_weight_takes_part(shape: tuple[int, int, int]) -> None:
    network = filled(RefineNet(shape, width=4, levels=2, outputs=2))
    x = Noise(0, 3).normal(*shape)
    out = network(x, torch.tensor([0.0, 1.0, 1.0]))
    assert out.shape == (3, 2, *shape[1:])
    out.square().sum().backward()
    idle = [name for name, p in network.named_parameters() if not p.grad.abs().sum() > 0]  # type: ignore[union-attr]
    assert not idle


def test_the_finest_features_reach_the_whole_image() -> None:
    """Two dilated stages: what leaves the network sees past 32 pixels, in less than 4 halvings."""
    network = filled(RefineNet((1, 64, 64), width=4, levels=1))
    x = torch.zeros(1, 1, 64, 64, requires_grad=True)
    network(x, torch.zeros(1))[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert x.grad[0, 0, 32:, 32:].abs().sum() > 0


def test_score_networks_take_it() -> None:
    spec = ncsn.Spec(Geometric(levels=4), width=4, network="refinenet", steps=3, inner=1)
    method = spec.build(IMAGES)
    assert isinstance(method, Denoising)
    network = method.denoiser.network
    assert isinstance(network, RefineNet)
    assert network.norm.of_level.num_embeddings == 4
    filled(method)
    x = Noise(1, 6).uniform(1, 8, 8) * 2 - 1
    method.losses(Batch(x, None, Noise(2, 6)), 0)["total"].backward()
    low, high = (method.denoiser(x, t).epsilon for t in (1.0, 4.0))
    assert not torch.equal(low, high)
    with torch.no_grad():
        assert method.sample(Noise(3, 2)).shape == (2, 1, 8, 8)
    blind = dataclasses.replace(spec, blind=True, schedule=EDM()).build(IMAGES)
    assert isinstance(blind, Denoising)
    assert isinstance(blind.denoiser.network, ncsn.Blind)
    inner = blind.denoiser.network.network
    assert isinstance(inner, RefineNet)
    assert inner.norm.of_level.num_embeddings == 1


@pytest.mark.parametrize("change", [{"conditional": True}, {"schedule": EDM()}])
def test_what_it_cannot_be_told_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="give"):
        ncsn.Spec(network="refinenet", **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="even sides"):
        ncsn.Spec(network="refinenet").build(Layout((1, 7, 8)))
