"""Samplers against solutions in closed form, on pictures of independent normal numbers."""

import math

import numpy as np
import pytest
import torch

from analytic import Gaussian, Waves
from naqsh.diffusion.catalogue import SAMPLERS, evaluations
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.samplers import ancestral, ddim, invert
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Linear
from naqsh.diffusion.solvers import Churn, dpm_solver_pp_2m, euler, heun
from naqsh.errors import NaqshError
from naqsh.noise import Noise

SCHEDULES = [Linear(), Cosine(400), EDM(), FlowMatching()]
SHAPE = (1, 2, 3)


def start(denoiser, count=3):
    return denoiser.schedule.prior * Noise(7, count).normal(*SHAPE).double()


@pytest.mark.parametrize("schedule", [Linear(60), Cosine(60)], ids=repr)
@pytest.mark.parametrize("clip", [False, True])
def test_ddim_of_eta_1_is_ancestral_sampling_of_small_variance(schedule, clip):
    denoiser = Denoiser(Waves(), schedule, variance="small")
    x = start(denoiser)
    one = ancestral(denoiser, Noise(0, 3), SHAPE, steps=60, start=x, clip=clip)
    other = ddim(denoiser, Noise(0, 3), SHAPE, steps=60, start=x, clip=clip, eta=1.0)
    # Sixty steps of float64 rounding, each divided by an alpha of at least 0.97.
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)
    assert not torch.equal(one, ddim(denoiser, Noise(0, 3), SHAPE, steps=60, start=x, clip=clip))


def before_last(sampler, denoiser, noise, shape, **more):
    """Where sampling stands before its last step, and the time then."""
    told = []
    sampler(denoiser, noise, shape, callback=lambda *step: told.append(step), **more)
    return told[-2][2], told[-2][1]


def error(sampler, denoiser, steps):
    """How far from the exact solution of the probability flow, at most.

    The last step is left out: its length, from the least noise to none, is no matter of `steps`.
    """
    x = start(denoiser)
    got, t = before_last(
        sampler, denoiser, Noise(0, 3), SHAPE, steps=steps, spacing="karras", start=x
    )
    return float((got - denoiser.flow(x, denoiser.schedule.end, t)).abs().max())


FLOWS = {"ddim": (ddim, 1), "euler": (euler, 1), "heun": (heun, 2), "2m": (dpm_solver_pp_2m, 2)}


@pytest.mark.parametrize("schedule", [Linear(), EDM(), FlowMatching()], ids=repr)
@pytest.mark.parametrize("name", FLOWS)
def test_solvers_approach_the_exact_flow_at_their_order(name, schedule):
    sampler, order = FLOWS[name]
    denoiser = Gaussian(schedule)
    few, more, many = (error(sampler, denoiser, steps) for steps in (40, 80, 160))
    for ratio in (few / more, more / many):
        assert ratio == pytest.approx(2**order, rel=0.25)
    assert many < (0.02 if order == 1 else 0.002)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_reaches_the_datas_distribution(name, schedule):
    denoiser, count = Gaussian(schedule), 600
    # Drawing a step errs by its length; solving the flow does so by less.
    x = SAMPLERS[name](
        denoiser, Noise(3, count), (1, 4, 4), steps=400 if name == "ancestral" else 100
    )
    assert x.dtype == torch.float32
    # Four standard errors of 9600 numbers, and 0.01 for the steps' own error.
    n = x.numel()
    assert abs(float(x.mean()) - 0.3) < 4 * 0.4 / math.sqrt(n) + 0.01
    assert abs(float(x.std()) - 0.4) < 4 * 0.4 / math.sqrt(2 * n) + 0.01


@pytest.mark.parametrize(("deviation", "right"), [(1e-3, "small"), (1.0, "large")])
def test_each_variance_is_right_for_its_data_in_few_steps(deviation, right):
    denoiser = Gaussian(Cosine(400), 0.0, deviation)
    wrong = {}
    for kind in ("small", "large"):
        x, t = before_last(ancestral, denoiser, Noise(0, 800), (1, 4, 4), steps=10, variance=kind)
        wrong[kind] = abs(float(x.std() / denoiser.p(t).sqrt()) - 1)
    # Standard data do not quite start as noise; 3 of a hundred covers that and chance.
    assert wrong.pop(right) < 0.03
    assert min(wrong.values()) > 0.1


def test_learnt_variance_is_that_between_small_and_large():
    denoiser, x = Gaussian(Linear(30, 1e-3, 0.3), variance="learned"), 2.0
    noise = Noise(0, 4)
    middle = ancestral(denoiser, noise, SHAPE, steps=30, start=torch.full((4, *SHAPE), x).double())
    # What is learnt here is the true variance: steps of any length give the data's distribution.
    many = ancestral(denoiser, Noise(0, 3000), SHAPE, steps=30)
    assert abs(float(many.std()) - 0.4) < 4 * 0.4 / math.sqrt(2 * many.numel())
    assert middle.dtype == torch.float64
    with pytest.raises(NaqshError, match="learnt no variance"):
        ancestral(Gaussian(Linear(30)), noise, SHAPE, steps=2, variance="learned")


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_euler_without_churn_is_ddim(schedule):
    denoiser = Denoiser(Waves(), schedule, parameterisation="v")
    x = start(denoiser)
    one = euler(denoiser, Noise(0, 3), SHAPE, steps=9, start=x)
    torch.testing.assert_close(one, ddim(denoiser, Noise(0, 3), SHAPE, steps=9, start=x))


def test_flow_matching_euler_follows_the_velocity():
    network = Waves()
    denoiser = Denoiser(network, FlowMatching(), parameterisation="velocity")
    x = start(denoiser)
    got = euler(denoiser, Noise(0, 3), SHAPE, steps=8, start=x)
    for i in range(8):
        x = x - network(x, torch.full((3,), 1000 * (1 - i / 8)), None) / 8
    # Eight steps of float64.
    np.testing.assert_allclose(got, x, rtol=1e-12, atol=1e-13)


def test_heun_on_flow_matching_is_heuns_method_on_the_velocity():
    network = Waves()
    denoiser = Denoiser(network, FlowMatching(), parameterisation="velocity")
    x = start(denoiser)
    got = heun(denoiser, Noise(0, 3), SHAPE, steps=8, start=x)

    def velocity(x, t):
        return network(x, torch.full((3,), 1000 * t), None)

    for i in range(8):
        t = 1 - i / 8
        first = velocity(x, t)
        if i < 7:
            first = (first + velocity(x - first / 8, t - 1 / 8)) / 2
        x = x - first / 8
    np.testing.assert_allclose(got, x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["euler", "heun"])
@pytest.mark.parametrize("schedule", [Linear(), EDM(), FlowMatching()], ids=repr)
def test_churn_keeps_the_distribution_and_takes_chance(name, schedule):
    sampler = {"euler": euler, "heun": heun}[name]
    denoiser = Gaussian(schedule)
    x = start(denoiser, 600)
    steps = 240 if name == "euler" else 60
    calm = sampler(denoiser, Noise(0, 600), SHAPE, steps=steps, start=x, spacing="karras")
    wild = sampler(
        denoiser, Noise(0, 600), SHAPE, steps=steps, start=x, spacing="karras", churn=Churn(20.0)
    )
    assert abs(float(calm.std()) - 0.4) < 0.025
    assert abs(float(wild.std()) - 0.4) < 0.025
    # Fresh noise makes the picture forget its start.
    together = torch.corrcoef(torch.stack([calm.flatten(), wild.flatten()]))[0, 1]
    assert together < 0.9
    outside = Churn(20.0, least=1000.0)
    same = sampler(
        denoiser, Noise(0, 600), SHAPE, steps=steps, start=x, spacing="karras", churn=outside
    )
    assert torch.equal(same, calm)
    with pytest.raises(NaqshError, match="at least 0"):
        Churn(-1.0)


@pytest.mark.parametrize("schedule", [Linear(), EDM(), FlowMatching()], ids=repr)
def test_inversion_leads_back_through_ddim(schedule):
    denoiser = Gaussian(schedule)
    images = 0.3 + 0.4 * Noise(2, 3).normal(*SHAPE).double()
    noise = invert(denoiser, images, steps=40, spacing="karras", rounds=60)
    back = ddim(denoiser, Noise(0, 3), SHAPE, steps=40, spacing="karras", start=noise)
    # Each round shrinks the error by at most the step's share of the noise, below one half here.
    np.testing.assert_allclose(back, images, atol=1e-6)
    rough = invert(denoiser, images, steps=40, spacing="karras", rounds=1)
    assert (noise - rough).abs().max() > 1e-3


def test_inversion_approaches_the_exact_flow():
    denoiser = Gaussian(Linear())
    images = 0.3 + 0.4 * Noise(2, 3).normal(*SHAPE).double()
    exact = denoiser.flow(images, 0.0, 1000.0)
    errors = [
        float((invert(denoiser, images, steps=steps, spacing="karras") - exact).abs().max())
        for steps in (50, 100)
    ]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_picture_is_the_same_whatever_the_block(name):
    denoiser = Denoiser(Waves(), Linear(50))
    whole, part = Noise(4, 6), Noise(4, 2, first=3)
    one = SAMPLERS[name](denoiser, whole, SHAPE, steps=5)
    assert torch.equal(one[3:5], SAMPLERS[name](denoiser, part, SHAPE, steps=5))


@pytest.mark.parametrize("schedule", [Linear(50), EDM()], ids=repr)
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_no_number_is_read_back_from_the_device(name, schedule):
    # Tensors of the meta device have none.
    denoiser = Denoiser(Waves(), schedule, parameterisation="edm")
    noise = Noise(0, 2, device="meta")
    more = {"churn": Churn(5.0)} if name in ("euler", "heun") else {}
    x = SAMPLERS[name](denoiser, noise, SHAPE, steps=4, clip=True, **more)
    assert x.shape == (2, *SHAPE)
    assert x.device.type == "meta"


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_callback_sees_every_step_and_evaluations_are_as_told(name):
    class Counting(Waves):
        count = 0

        def forward(self, x, condition, labels):
            self.count += 1
            assert labels is not None
            return super().forward(x, condition, labels)

    network = Counting()
    denoiser, seen = Denoiser(network, Linear(50), parameterisation="x0"), []
    x = SAMPLERS[name](
        denoiser,
        Noise(0, 2),
        SHAPE,
        steps=5,
        labels=torch.tensor([0, 1]),
        clip=True,
        callback=lambda *told: seen.append(told),
    )
    assert network.count == evaluations(name, 5)
    assert [told[0] for told in seen] == list(range(5))
    assert [told[1] for told in seen] == [40, 30, 20, 10, 0]
    assert torch.equal(seen[-1][2], x)
    assert all(told[3].abs().max() <= 1 for told in seen)
    # The last step is the clean picture that was seen.
    torch.testing.assert_close(seen[-1][3], x)


def test_unknown_samplers_and_numbers_are_refused():
    with pytest.raises(NaqshError, match="did you mean 'heun'"):
        evaluations("heum", 5)
    with pytest.raises(NaqshError, match="at least 1"):
        evaluations("ddim", 0)
    with pytest.raises(NaqshError, match="eta"):
        ddim(Gaussian(Linear()), Noise(0, 1), SHAPE, steps=2, eta=1.5)
