"""Schedules and samplers against those of the diffusers package, step by step."""

import numpy as np
import pytest
import torch

from analytic import Waves
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.samplers import (
    Ancestral,
    Ddim,
    DpmSolver,
    Euler,
    Heun,
    PredictorCorrector,
)
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Geometric, Linear, SqrtLinear

diffusers = pytest.importorskip("diffusers")
# diffusers hands tensors to NumPy in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

T, STEPS, SHAPE = 100, 20, (1, 3, 3)
PREDICTIONS = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}  # theirs are tables of float32


@pytest.fixture
def same_noise(monkeypatch):
    """diffusers draws from a Noise of the same seed as ours, after the start."""

    def use(module):
        noise = Noise(0, 2)
        noise.normal(*SHAPE)

        def draw(shape, **_):
            return noise.normal(*SHAPE)

        monkeypatch.setattr(f"diffusers.schedulers.{module}.randn_tensor", draw)

    return use


def scheduler(name, schedule, **more):
    betas = schedule.betas().numpy()
    return getattr(diffusers, name)(num_train_timesteps=T, trained_betas=betas, **more)


def ours(sampler, denoiser):
    """Every image on the way, with the start in front."""
    path = [Noise(0, 2).normal(*SHAPE) * denoiser.schedule.prior]
    sampler(denoiser, Noise(0, 2), SHAPE, callback=lambda *told: path.append(told[2]))
    return path


def theirs(their, network, path, **more):
    """Each of their steps from where ours stood before it."""
    their.set_timesteps(STEPS)
    for t, x in zip(their.timesteps, path[:-1], strict=True):
        output = network(x, torch.full((2,), float(t)), None)
        yield their.step(output, t, x, **more).prev_sample


def test_tables_are_theirs():
    for kind, schedule in (
        ("linear", Linear(T)),
        ("scaled_linear", SqrtLinear(T, 1e-4, 0.02)),
        ("squaredcos_cap_v2", Cosine(T)),
    ):
        their = diffusers.DDPMScheduler(num_train_timesteps=T, beta_schedule=kind)
        np.testing.assert_allclose(schedule.alpha_bar()[1:], their.alphas_cumprod, **TOLERANCE)


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("variance", ["small", "large", "learned"])
@pytest.mark.parametrize("clip", [False, True])
def test_ancestral(kind, variance, clip, same_noise):
    names = {"small": "fixed_small", "large": "fixed_large", "learned": "learned_range"}
    network = Waves(2 if variance == "learned" else 1)
    denoiser = Denoiser(network, Linear(T), parameterisation=kind, variance=variance)
    path = ours(Ancestral(STEPS, clip=clip), denoiser)
    same_noise("scheduling_ddpm")
    their = scheduler(
        "DDPMScheduler",
        Linear(T),
        variance_type=names[variance],
        prediction_type=PREDICTIONS[kind],
        clip_sample=clip,
        timestep_spacing="trailing",
    )
    # Into the clean image theirs draws, unless it comes from the very first level of noise.
    count = STEPS if variance == "small" else STEPS - 1
    pairs = list(zip(path[1:], theirs(their, network, path), strict=True))[:count]
    for got, expected in pairs:
        torch.testing.assert_close(got, expected, **TOLERANCE)


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("clip", [False, True])
def test_ddim(kind, eta, clip, same_noise):
    denoiser = Denoiser(Waves(), Linear(T), parameterisation=kind)
    path = ours(Ddim(STEPS, clip=clip, eta=eta), denoiser)
    same_noise("scheduling_ddim")
    their = scheduler(
        "DDIMScheduler",
        Linear(T),
        prediction_type=PREDICTIONS[kind],
        clip_sample=clip,
        timestep_spacing="trailing",
    )
    more = {"eta": eta, "use_clipped_model_output": True}
    for got, expected in zip(path[1:], theirs(their, Waves(), path, **more), strict=True):
        torch.testing.assert_close(got, expected, **TOLERANCE)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_dpm_solver_pp_2m(kind):
    denoiser = Denoiser(Waves(), Linear(T), parameterisation=kind)
    path = ours(DpmSolver(STEPS), denoiser)
    their = scheduler(
        "DPMSolverMultistepScheduler",
        Linear(T),
        prediction_type=PREDICTIONS[kind],
        timestep_spacing="trailing",
    )
    for got, expected in zip(path[1:], theirs(their, Waves(), path), strict=True):
        torch.testing.assert_close(got, expected, **TOLERANCE)


@pytest.mark.parametrize("amount", [0.0, 10.0])
def test_euler_of_edm(amount, same_noise):
    denoiser = Denoiser(Waves(), EDM(), parameterisation="edm", sigma_data=0.5)
    euler = Euler(STEPS, churn=amount, churn_least=0.05, churn_most=50.0, churn_scale=1.003)
    path = ours(euler, denoiser)
    same_noise("scheduling_edm_euler")
    their = diffusers.EDMEulerScheduler()
    their.set_timesteps(STEPS)
    fresh = Noise(0, 2)
    fresh.normal(*SHAPE)
    for i, t in enumerate(their.timesteps):
        x, sigma = path[i], float(their.sigmas[i])
        seen, level = x, sigma
        if amount and 0.05 <= sigma <= 50:
            # Their caller adds no noise for the network, so here it does; and their step again.
            level = sigma * (1 + min(amount / STEPS, 2**0.5 - 1))
            seen = x + 1.003 * (level**2 - sigma**2) ** 0.5 * fresh.normal(*SHAPE)
        their.is_scale_input_called = True
        scaled = their.precondition_inputs(seen, level)
        output = Waves()(scaled, torch.full((2,), np.log(level) / 4), None)
        more = {"s_churn": amount, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.003}
        expected = their.step(output, t, x, **more).prev_sample
        torch.testing.assert_close(path[i + 1], expected, rtol=1e-5, atol=1e-5 * max(1, sigma))


class Rescaled:
    """A denoiser of another schedule as one of EDM's: y = x / alpha at u = sigma / alpha."""

    def __init__(self, inner, schedule):
        self.inner, self.schedule, self.variance = inner, schedule, "small"

    def __call__(self, y, u, labels=None):
        t = float(self.inner.schedule.time(-2 * np.log(u)))
        return self.inner(float(self.inner.schedule(t)[0]) * y, t)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_heun(kind):
    schedule = Linear(T)
    least, most = schedule.extent
    denoiser = Rescaled(
        Denoiser(Waves(), schedule, parameterisation=kind), EDM(least=least, most=most)
    )
    path = ours(Heun(STEPS), denoiser)
    their = scheduler(
        "HeunDiscreteScheduler",
        schedule,
        prediction_type=PREDICTIONS[kind],
        use_karras_sigmas=True,
    )
    their.set_timesteps(STEPS)
    place = 0
    for i in range(STEPS):
        x = path[i]
        for _ in range(2 if i < STEPS - 1 else 1):
            t = their.timesteps[place]
            seen = their.scale_model_input(x, t)
            x = their.step(Waves()(seen, t.expand(2), None), t, x).prev_sample
            place += 1
        torch.testing.assert_close(path[i + 1], x, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_euler(shift):
    schedule = FlowMatching(shift=shift)
    denoiser = Denoiser(Waves(), schedule, parameterisation="velocity")
    path = ours(Euler(STEPS), denoiser)
    their = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    their.set_timesteps(sigmas=np.linspace(1, 1 / STEPS, STEPS).tolist())
    for i, t in enumerate(their.timesteps):
        output = Waves()(path[i], t.expand(2), None)
        expected = their.step(output, t, path[i]).prev_sample
        torch.testing.assert_close(path[i + 1], expected, **TOLERANCE)


def test_predictor_and_corrector_are_those_of_the_variance_exploding_equation(monkeypatch):
    their = diffusers.ScoreSdeVeScheduler(snr=0.16, sigma_min=0.01, sigma_max=50.0)
    their.set_timesteps(STEPS)
    their.set_sigmas(STEPS)
    schedule = Geometric(50.0, 0.01, STEPS)
    sigmas = schedule(torch.arange(1, STEPS + 1))[1]
    np.testing.assert_allclose(their.discrete_sigmas, sigmas, rtol=1e-5)
    # One image: theirs takes the norms' means over the batch.
    noise = Noise(0, 1)
    path = [noise.normal(*SHAPE) * 50]
    denoiser, module = Denoiser(Waves(), schedule), "diffusers.schedulers.scheduling_sde_ve"
    monkeypatch.setattr(f"{module}.randn_tensor", lambda shape, **_: noise.normal(*SHAPE))

    def keep(index, time, x, x0):
        path.append(x)

    PredictorCorrector(STEPS)(denoiser, Noise(0, 1), SHAPE, callback=keep)
    assert len(path) == STEPS + 1
    for i, t in enumerate(their.timesteps):
        level = STEPS - i

        def score(x, level=level):
            return denoiser(x, float(level)).score(float(sigmas[level - 1]))

        x = their.step_correct(score(path[i]), path[i]).prev_sample
        step = their.step_pred(score(x), float(t), x)
        expected = step.prev_sample if level > 1 else step.prev_sample_mean
        # Differences of float32 squares lose a digit of theirs.
        torch.testing.assert_close(path[i + 1], expected, rtol=1e-4, atol=1e-4)
