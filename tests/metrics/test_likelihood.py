"""Bits a dimension against closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from naqsh import recipes
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.data import to_float
from naqsh.flows.method import FlowMethod
from naqsh.methods.vae import Spec
from naqsh.metrics import likelihood
from naqsh.training.building import build


def of(log_prob, dimensions, **changes):
    given = {"kind": "exact", "of": "density", "level_width": 1 / 256, "reference": "x test"}
    return likelihood(np.asarray(log_prob, dtype=np.float64), dimensions, **(given | changes))


@pytest.mark.parametrize("width", [1 / 256, 2 / 256, 1.0])
def test_a_uniform_density_has_eight_bits_whatever_the_scale(width):
    nats = -12 * math.log(256 * width)
    measured = of([nats] * 3, 12, level_width=width)
    assert measured.bits == pytest.approx(8, rel=1e-12)
    assert measured.bits_error == 0
    assert measured.nats == pytest.approx(nats)


def test_levels_and_coins_are_probabilities():
    assert of([-10 * math.log(256)] * 2, 10, of="levels").bits == pytest.approx(8, rel=1e-12)
    coin = of([-10 * math.log(2)] * 2, 10, of="black and white")
    assert coin.bits == pytest.approx(1, rel=1e-12)
    assert "black and white" in str(coin)
    assert "bits/dim" not in str(coin)


def test_errors_are_those_of_a_mean():
    nats = np.random.default_rng(0).normal(-30, 4, 400)
    measured = of(nats, 5)
    assert measured.nats_error == pytest.approx(nats.std(ddof=1) / 20)
    assert measured.bits_error == pytest.approx(measured.nats_error / (5 * math.log(2)))
    assert measured.n == 400
    assert "exact; 400 of x test" in str(measured)


@pytest.mark.parametrize(
    ("log_prob", "words"),
    [([1.0], "at least 2"), ([1.0, math.nan, -math.inf], "2 of 3 log-likelihoods")],
)
def test_what_cannot_be_is_refused(log_prob, words):
    with pytest.raises(NaqshError, match=words):
        of(log_prob, 4)


PIXELS = np.arange(256, dtype=np.uint8).reshape(2, 2, 8, 8)
"""Every level once."""


def bits_of(method):
    """As evaluation takes them, of two images that hold every level between them."""
    images = to_float(torch.from_numpy(PIXELS), *method.value_range)
    with torch.no_grad():
        log_prob = method.log_prob(images, Noise(0, len(images))).double().numpy()
    kinds = {"of": method.log_prob_of, "level_width": method.level_width}
    return of(log_prob, 128, **kinds).bits


def test_gaussian_pixels_have_the_probabilities_of_levels():
    """A level's probability is the normal distribution's mass between its neighbours' middles."""
    scale = 0.4
    method = Spec(likelihood="gaussian", scale=scale, latent=2).build(Layout((2, 8, 8))).eval()
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            if name.startswith(("decoder", "encoder")):
                parameter.zero_()  # the decoder's means are 0 whatever the latents
    between = (np.arange(257) - 0.5) / 255
    exact = -np.log2(np.diff(norm.cdf(between, scale=scale))).mean()
    # The posterior is the prior, so the bound is exact but for a density's curvature over a level:
    # w^2 / 24 (x^2 / scale^4 - 1 / scale^2) nats, 6e-6 bits in the mean. 1/256 is 5.6e-3 off.
    assert bits_of(method) == pytest.approx(exact, abs=2e-5)


def test_dequantised_levels_have_the_probabilities_of_their_bins():
    """Of a normal density of v in [0, 1], the mass of level k is that of [k, k + 1] / 256."""
    flow = FlowMethod((2, 8, 8), [], None, Spec().optimizer)
    exact = -np.log2(np.diff(norm.cdf(np.arange(257) / 256))).mean()
    # One draw of each of 256 bins: the slope of -log2 density is at most 1 / ln 2 a unit, so one
    # draw is off by 1 / 256 / sqrt(12) times that, their mean by a 16th.
    assert bits_of(flow) == pytest.approx(exact, abs=4 * 1.45 / 256 / 12**0.5 / 16)


@pytest.mark.parametrize("likely", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("posterior", ["diagonal", "iaf"])
@pytest.mark.parametrize("recipe", ["vae-digits", "controlvae-dsprites"])
def test_what_a_likelihood_is_of_is_the_pixels_kind(recipe, likely, posterior):
    changes = {"method.likelihood": likely, "method.posterior": posterior}
    method = build(recipes.by_name(recipe).override(changes), Layout((1, 16, 16)))
    assert method.log_prob_of == {"bernoulli": "black and white", "gaussian": "density"}[likely]
