import math

import pytest
import torch

from analytic import Gaussian, Waves
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.guidance import Guided, drop
from naqsh.diffusion.samplers import Ancestral, Ddim
from naqsh.diffusion.schedule import EDM, Linear

NULL = 3
LABELS = torch.tensor([0, 2])


def both(times=1, **more):
    denoiser = Denoiser(Waves(times), Linear(50), **more)
    x = Noise(1, 2).normal(1, 2, 2).double()
    return denoiser, x, denoiser(x, 20.0, LABELS), denoiser(x, 20.0, torch.full((2,), NULL))


@pytest.mark.parametrize("kind", ["epsilon", "v"])
def test_scale_1_is_conditional_0_is_not_and_2_goes_on(kind):
    denoiser, x, conditional, plain = both(parameterisation=kind)
    assert not torch.equal(conditional.x0, plain.x0)
    for scale in (0.0, 1.0, 2.0):
        seen = Guided(denoiser, scale, NULL)(x, 20.0, LABELS)
        for name in ("x0", "epsilon"):
            u, c = getattr(plain, name), getattr(conditional, name)
            torch.testing.assert_close(getattr(seen, name), u + scale * (c - u))
        alpha, sigma = Linear(50)(20.0)
        torch.testing.assert_close(alpha * seen.x0 + sigma * seen.epsilon, x)


def test_without_labels_nothing_is_asked_for():
    denoiser, x, _, plain = both()
    assert torch.equal(Guided(denoiser, 5.0, NULL)(x, 20.0).x0, plain.x0)


def test_it_takes_one_pass_of_the_network():
    class Counting(Waves):
        count = 0

        def forward(self, x, condition, labels):
            self.count += 1
            return super().forward(x, condition, labels)

    network = Counting()
    guided = Guided(Denoiser(network, Linear(50)), 2.0, NULL)
    Ddim(5)(guided, Noise(0, 2), (1, 2, 2), labels=LABELS)
    assert network.count == 5


def test_times_of_each_picture_go_along():
    denoiser, x, _, _ = both()
    t = torch.tensor([10, 40])
    seen = Guided(denoiser, 2.0, NULL)(x, t, LABELS)
    for n in range(2):
        alone = Guided(denoiser, 2.0, NULL)(x[n : n + 1], t[n : n + 1], LABELS[n : n + 1])
        torch.testing.assert_close(seen.x0[n : n + 1], alone.x0)


def test_learnt_variance_is_the_labels_own():
    denoiser, x, conditional, _ = both(times=2, variance="learned")
    guided = Guided(denoiser, 2.0, NULL)
    seen = guided(x, 20.0, LABELS)
    assert seen.fraction is not None
    torch.testing.assert_close(seen.fraction, conditional.fraction)
    made = Ancestral(5)(guided, Noise(0, 2), (1, 2, 2), labels=LABELS)
    assert made.isfinite().all()


def test_guidance_moves_normal_classes_apart():
    class Two(Gaussian):
        """Class 1 has mean 1; without a label the mean is 0. One deviation for both."""

        def __call__(self, x_t, t, labels=None):
            assert labels is not None
            self.mean = (labels == 1).view(-1, 1, 1, 1).double()
            return super().__call__(x_t, t)

    # For these the difference is linear in the mean, so scale w gives mean w exactly.
    guided = Guided(Two(EDM(), deviation=0.2), 3.0, 0)
    made = Ddim(80)(guided, Noise(0, 500), (1, 1, 4), labels=torch.ones(500, dtype=int))
    assert float(made.mean()) == pytest.approx(3, abs=0.02 + 4 * 0.2 / math.sqrt(2000))


def test_labels_are_dropped_at_their_chance():
    labels = torch.arange(4000) % NULL
    dropped = drop(labels, Noise(0, 4000), 0.2, NULL)
    gone = dropped == NULL
    assert torch.equal(dropped[~gone], labels[~gone])
    # Four standard errors of a share of one fifth.
    assert abs(float(gone.double().mean()) - 0.2) < 4 * math.sqrt(0.16 / 4000)
    assert torch.equal(drop(labels, Noise(0, 4000), 0.0, NULL), labels)
    assert dropped.dtype == labels.dtype
