import math

import numpy as np
import pytest
import torch
from scipy import stats

from analytic import Gaussian, Waves
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.likelihood import KIND, log_likelihood
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Linear

SCHEDULES = [Linear(), Cosine(1000), EDM(), FlowMatching()]


def pictures(count=4, shape=(1, 2, 3)):
    return 0.3 + 0.4 * Noise(2, count).normal(*shape).double()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("probes", [1, "exact"])
def test_density_of_normal_pictures_is_exact(schedule, probes):
    denoiser, images = Gaussian(schedule), pictures()
    got = log_likelihood(denoiser, images, Noise(0, 4), steps=160, probes=probes)
    # The same change of variables by the exact flow, which is linear.
    t, end = (float(schedule.time(-2 * math.log(u))) for u in schedule.extent)
    alpha, _ = schedule(t)
    flown = denoiser.flow(alpha * images, t, end)
    deviation = schedule.prior if schedule != FlowMatching() else end
    stretch = 0.5 * (denoiser.p(end) / denoiser.p(t)).log() + alpha.log()
    density = stats.norm(0, deviation).logpdf(flown.numpy()) + float(stretch)
    # Runge-Kutta of 160 steps; the Jacobian is a multiple of one, whose trace any signs give.
    np.testing.assert_allclose(got, density.reshape(4, -1).sum(1), rtol=0, atol=2e-5)
    # What the flow starts from is not quite noise, so this is the data's density but for some
    # thousandths of a nat.
    expected = stats.norm(0.3, 0.4).logpdf(images.numpy()).reshape(4, -1).sum(1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.03)


def test_error_falls_by_the_fourth_power_of_the_steps():
    images = pictures()
    denoiser = Gaussian(EDM())
    fine = log_likelihood(denoiser, images, Noise(0, 4), steps=320)
    errors = [
        float((log_likelihood(denoiser, images, Noise(0, 4), steps=n) - fine).abs().max())
        for n in (20, 40)
    ]
    assert 10 < errors[0] / errors[1] < 26


def test_trace_by_signs_is_right_in_the_mean():
    class Mixed(Waves):
        """Every number depends on every other, so that signs matter."""

        def forward(self, x, condition, labels):
            flat = super().forward(x, condition, labels).flatten(1)
            mixing = torch.linspace(-1, 1, 36, dtype=x.dtype).view(6, 6) / 4
            return (flat + flat @ mixing).view_as(x)

    denoiser = Denoiser(Mixed(), EDM(), parameterisation="edm")
    one = pictures(1)
    exact = log_likelihood(denoiser, one, Noise(0, 1), steps=12, probes="exact")
    many = log_likelihood(denoiser, one.repeat(500, 1, 1, 1), Noise(0, 500), steps=12)
    assert float(many.std()) > 0.01
    assert abs(float(many.mean() - exact)) < 4 * float(many.std()) / math.sqrt(500)
    few = log_likelihood(denoiser, one.repeat(500, 1, 1, 1), Noise(0, 500), steps=12, probes=4)
    # Four probes halve the deviation; 500 draws know it to 1 / sqrt(1000) of itself.
    assert float(many.std() / few.std()) == pytest.approx(2, rel=0.2)


def test_exact_trace_is_autograds():
    denoiser = Denoiser(Waves(), Linear(50), parameterisation="v")
    x = pictures(1)

    def epsilon(flat):
        return denoiser(flat.view(1, 1, 2, 3), 20.0).epsilon.flatten()

    from naqsh.diffusion.likelihood import _trace

    jacobian = torch.autograd.functional.jacobian(epsilon, x.flatten())
    signs = list(torch.eye(6, dtype=torch.float64))
    _, trace = _trace(denoiser, x, 20.0, None, signs)
    np.testing.assert_allclose(trace, jacobian.trace(), rtol=1e-12)


def test_pictures_have_their_own_likelihood_whatever_the_block():
    denoiser, images = Denoiser(Waves(), Linear(50), parameterisation="v"), pictures(4)
    noise = Noise(0, 4)
    whole = log_likelihood(denoiser, images, noise, steps=5)
    part = log_likelihood(denoiser, images[1:3], noise.part(1, 2), steps=5)
    np.testing.assert_allclose(part, whole[1:3], rtol=1e-12)
    assert whole.dtype == torch.float64
    assert not whole.requires_grad
    assert log_likelihood(denoiser, images.float(), noise, steps=5).isfinite().all()
    assert KIND == "estimate"
    for steps, probes in ((0, 1), (1, 0)):
        with pytest.raises(NaqshError, match="at least 1"):
            log_likelihood(denoiser, images, noise, steps=steps, probes=probes)
