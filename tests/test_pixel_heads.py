"""The ensemble on feature maps: what commutes, votes and disagreement by plain formulas."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import mode
from torch import nn

from naqsh.core.noise import Noise
from naqsh.diffusion import features
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.schedule import Cosine, FlowMatching, Linear
from naqsh.networks.pixel_heads import PixelHeads, at, disagreement, enlarged, vote
from naqsh.networks.unet import UNet

SIZE = (8, 12)


@pytest.fixture(scope="module")
def maps():
    torch.manual_seed(0)
    return [torch.randn(2, c, *s) for c, s in ((5, (2, 3)), (3, (4, 6)), (2, SIZE))]


@pytest.fixture(scope="module")
def heads(maps):
    torch.manual_seed(1)
    made = PixelHeads([5, 3, 2], classes=4, members=3, hidden=(6, 5))
    made.standardise(torch.randn(50, 10) * 3 + 1)
    with torch.no_grad():
        made.bias.normal_()
    made(torch.randn(3, 40, 10))  # batch normalisation sees something
    return made.eval()


def test_pixels_are_taken_as_bilinear_enlarging_has_them(maps):
    pixels = torch.arange(SIZE[0] * SIZE[1]).expand(2, -1)
    whole = torch.cat([enlarged(m, SIZE) for m in maps], 1).flatten(2).permute(0, 2, 1)
    assert torch.allclose(at(maps, pixels, SIZE), whole, atol=1e-5)
    some = torch.tensor([[5, 40, 95], [0, 11, 63]])
    assert torch.allclose(at(maps, some, SIZE)[1, 2], whole[1, 63], atol=1e-5)


def test_the_first_layer_and_enlarging_commute(maps, heads):
    """Each of about a hundred sums of ten products of order one is rounded to 24 bits."""
    with torch.no_grad():
        before = heads.on_maps(maps, SIZE)
        joined = torch.cat([enlarged(m, SIZE) for m in maps], 1).permute(0, 2, 3, 1)
        after = heads(joined.reshape(1, -1, 10).expand(3, -1, -1))
    after = after.view(3, 2, *SIZE, 4).permute(1, 0, 4, 2, 3)
    assert before.shape == (2, 3, 4, *SIZE)
    assert torch.allclose(before, after, atol=1e-4)


def test_members_are_networks_of_their_own(heads):
    """The first of three members by PyTorch's layers, one after another."""
    x = torch.randn(3, 7, 10)
    relu, one, middle, _, two, last = heads.rest
    h = (x[0] - heads.mean) / heads.deviation @ heads.weight[0] + heads.bias[0]
    for norm, conv, units in ((one, middle, 6), (two, last, 5)):
        h = relu(h)
        own = [v[:units] for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)]
        h = nn.functional.batch_norm(h, *own)
        rows = conv.out_channels // 3
        h = h @ conv.weight[:rows, :, 0].T + conv.bias[:rows]
    assert torch.allclose(heads(x)[0], h, atol=1e-5)
    changed = x.clone()
    changed[1:] = 0
    assert torch.allclose(heads(changed)[0], heads(x)[0], atol=1e-6)


def test_the_vote_is_the_majoritys():
    torch.manual_seed(2)
    logits = torch.randn(2, 7, 3, 4, 5)
    each = logits.argmax(2)
    counts = torch.stack([(each == k).sum(1) for k in range(3)])
    clear = (counts == counts.max(0).values).sum(0) == 1
    assert clear.float().mean() > 0.5
    said = mode(each.numpy(), axis=1).mode
    assert np.array_equal(vote(logits)[clear].numpy(), said[clear.numpy()])


def test_equal_votes_are_decided_by_the_mean_probability():
    p = torch.tensor([[0.9, 0.05, 0.05], [0.3, 0.6, 0.1]])  # one vote each; means 0.6 and 0.325
    assert vote(p.log().view(1, 2, 3, 1, 1)).item() == 0
    assert vote(p.flip(0).log().view(1, 2, 3, 1, 1)).item() == 0


def test_disagreement_is_the_jensen_shannon_divergence():
    torch.manual_seed(3)
    logits = 2 * torch.randn(1, 2, 3, 4, 5).double()
    p, q = logits.softmax(2)[0].numpy()
    expected = jensenshannon(p, q, axis=0) ** 2  # scipy gives its root, in nats
    assert disagreement(logits)[0].numpy() == pytest.approx(expected, abs=1e-12)
    several = torch.randn(1, 6, 3, 2, 2).double().softmax(2)

    def entropy(p):
        return -(p * p.log()).sum(-3)

    plain = entropy(several.mean(1)) - torch.stack([entropy(p) for p in several[0]]).mean(0)
    assert torch.allclose(disagreement(several.log()), plain, atol=1e-12)
    assert disagreement(logits[:, :1]).abs().max() < 1e-12


def net():
    torch.manual_seed(4)
    made = UNet((3, 8, 8), 4, (1, 2))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made.eval()


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), FlowMatching()])
def test_levels_mean_noise_over_signal_under_every_schedule(schedule):
    denoiser = Denoiser(net(), schedule, parameterisation="v")
    for t, level in zip(features.times(denoiser, (0.18, 0.96)), (0.18, 0.96), strict=True):
        alpha, sigma = schedule(t)
        assert float(sigma / alpha) == pytest.approx(level, rel=0.03)  # of whole steps the nearest
    if schedule == Linear():
        papers = np.array([51, 151, 251])  # times count from 1 here, from 0 there
        assert np.abs(np.array(features.times(denoiser, features.LEVELS)) - papers).max() <= 1


def test_features_are_the_outputs_of_the_way_up_on_one_noise():
    denoiser = Denoiser(net(), Linear())
    x0 = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        found = features.features(denoiser, x0, (0.5, 1.0))
        alone = features.features(denoiser, x0[1:], (0.5, 1.0))
    assert [tuple(m.shape[1:]) for m in found] == 2 * [(8, 4, 4), (8, 4, 4), (4, 8, 8), (4, 8, 8)]
    assert features.channels(denoiser, (3, 8, 8), (0.5, 1.0)) == 2 * [8, 8, 4, 4]
    for m, own in zip(found, alone, strict=True):
        assert torch.allclose(m[1], own[0], atol=1e-5)  # the noise does not depend on the batch
    # What follows the last block gives the network's output.
    unet = denoiser.network
    t = features.times(denoiser, (1.0,))[0]
    alpha, sigma = (float(part) for part in Linear()(t))
    noise = Noise(features.derive(0, "features"), 1).normal(3, 8, 8)
    with torch.no_grad():
        expected = unet(alpha * x0 + sigma * noise, torch.full((2,), t - 1))
        out = unet.last(nn.functional.silu(unet.norm(found[-1])))
    assert torch.allclose(out, expected, atol=1e-5)
    assert not denoiser.network.up[0]._forward_hooks
