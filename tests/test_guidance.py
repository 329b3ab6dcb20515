import math

import pytest
import torch

from analytic import Gaussian, Waves
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.guidance import Guided, drop
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.samplers import Ancestral, Ddim, DpmSolver
from naqsh.diffusion.schedule import EDM, FlowMatching, Linear

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


class Counting(Waves):
    """How many images it has seen."""

    seen = 0

    def forward(self, x, condition, labels):
        self.seen += len(x)
        return super().forward(x, condition, labels)


@pytest.mark.parametrize("schedule", [Linear(50), EDM(), FlowMatching()])
def test_an_interval_of_everything_is_plain_guidance_and_an_empty_one_is_scale_1(schedule):
    denoiser = Denoiser(Waves(), schedule, parameterisation="v")

    def drawn(one):
        return DpmSolver(6)(one, Noise(0, 2), (1, 4, 4), labels=LABELS)

    plain, guided = drawn(denoiser), drawn(Guided(denoiser, 3.0, NULL))
    assert not torch.equal(plain, guided)
    assert torch.equal(drawn(Guided(denoiser, 3.0, NULL, (0.0, math.inf))), guided)
    assert torch.equal(drawn(Guided(denoiser, 3.0, NULL, (1.0, 1.0))), plain)


def test_outside_of_the_interval_an_image_is_seen_once():
    network = Counting()
    guided = Guided(Denoiser(network, EDM(), parameterisation="edm"), 2.0, NULL, (0.5, 4.0))
    x = Noise(1, 2).normal(1, 2, 2)
    seen = {}
    for t in (0.4, 0.5, 0.6, 4.0, 4.1):  # the lower end is outside, the upper one inside
        network.seen = 0
        guided(x, t, LABELS)
        seen[t] = network.seen / len(x)
    assert seen == {0.4: 1, 0.5: 1, 0.6: 2, 4.0: 2, 4.1: 1}


def test_an_interval_is_of_noise_over_signal_under_every_schedule():
    network, schedule = Counting(), Linear()
    guided = Guided(Denoiser(network, schedule), 2.0, NULL, (0.5, 4.0))
    for ratio in (0.4, 0.6, 3.9, 4.1, 20.0):  # sigma itself is below 1 here
        network.seen = 0
        guided(torch.zeros(2, 1, 2, 2), float(schedule.time(-2 * math.log(ratio))), LABELS)
        assert network.seen == (4 if 0.5 < ratio <= 4 else 2)


def test_the_interval_is_asked_for_each_image_at_its_own_time():
    denoiser = Denoiser(Waves(), EDM(), parameterisation="edm")
    guided = Guided(denoiser, 3.0, NULL, (0.5, 4.0))
    x, t = Noise(1, 2).normal(1, 2, 2), torch.tensor([0.4, 2.0])
    seen = guided(x, t, LABELS)
    for n in range(2):
        alone = guided(x[n : n + 1], float(t[n]), LABELS[n : n + 1])
        torch.testing.assert_close(seen.x0[n : n + 1], alone.x0)
        torch.testing.assert_close(seen.epsilon[n : n + 1], alone.epsilon)


@pytest.mark.parametrize("interval", [(-0.1, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_an_interval_that_is_none_is_refused(interval):
    with pytest.raises(NaqshError, match="LOW,HIGH of noise over signal"):
        Guided(Denoiser(Waves(), EDM()), 2.0, NULL, interval)


class Labelled:
    """The exact denoiser of a mixture whose labels are its Gaussians; label 2 is none."""

    variance = "small"
    means, deviations = ((-1.0, 0.5), (1.0, 0.0)), (0.3, 0.5)

    def __init__(self, schedule):
        self.schedule = schedule
        each = zip(self.means, self.deviations, strict=True)
        self.of = [*(Mixture(schedule, [m], [d]) for m, d in each), self.whole(schedule)]

    def whole(self, schedule):
        return Mixture(schedule, self.means, self.deviations, (0.3, 0.7))

    def __call__(self, x_t, t, labels=None):
        seen = [self.of[label](x_t[n : n + 1], t) for n, label in enumerate(labels.tolist())]
        x0, epsilon = (torch.cat([getattr(s, of) for s in seen]) for of in ("x0", "epsilon"))
        return type(seen[0])(x0, epsilon)


@pytest.mark.parametrize("schedule", [Linear(50), EDM()])
def test_the_guided_score_of_a_mixture_is_the_gradient_of_its_tilted_density(schedule):
    exact = Labelled(schedule)
    x = Noise(3, 4).normal(2, 1, 1).double()
    labels, w, t = torch.tensor([0, 1, 1, 0]), 2.5, 2.0

    def tilted(x):
        own = torch.stack([one.log_density(x, t) for one in exact.of[:2]])
        own = own.gather(0, labels[None])[0]
        return (1 - w) * exact.of[2].log_density(x, t) + w * own

    x.requires_grad_()
    (gradient,) = torch.autograd.grad(tilted(x).sum(), x)
    sigma = float(schedule(t)[1])
    score = Guided(exact, w, 2)(x.detach(), t, labels).score(sigma)
    torch.testing.assert_close(score, gradient)  # float64: 1e-7 of the value
    outside = Guided(exact, w, 2, (0.0, sigma / float(schedule(t)[0]) / 2))(x.detach(), t, labels)
    torch.testing.assert_close(outside.score(sigma), exact(x.detach(), t, labels).score(sigma))
