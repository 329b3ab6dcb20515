"""Few large steps or many small ones: what samplers may spend, and what their steps lose."""

import math

import numpy as np
import pytest
import torch

import naqsh
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.diffusion.samplers import SAMPLERS, Ddim, Heun, Langevin, PredictorCorrector
from naqsh.diffusion.schedule import Geometric, Linear
from naqsh.report.read import gather
from naqsh.runs import kept
from naqsh.studies import exact, samplers

LEVELS = 10


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("evaluations", [1, 3, 10, 300])
def test_a_sampler_spends_what_it_may(name: str, evaluations: int) -> None:
    """No more but the least that it can and a last denoising; one step more would be too many."""
    sampler = SAMPLERS[name](7)  # type: ignore[index]
    for levels in (LEVELS, None):
        found = sampler.within(evaluations, levels)
        last = int(getattr(found, "denoise", False))
        least = SAMPLERS[name](1).evaluations  # type: ignore[index]
        assert found.evaluations - last <= max(evaluations, least - last)
        assert found.steps <= (levels or evaluations)
        if levels is None and not last:
            more = type(found)(found.steps + 1)
            assert more.evaluations > evaluations


def test_langevin_dynamics_has_several_steps_at_each_of_few_levels() -> None:
    sampler = Langevin(4, inner=9, size=0.3, denoise=False)
    spent = [sampler.within(count, LEVELS) for count in (3, 10, 30, 80, 300, 1000)]
    assert [(one.steps, one.inner) for one in spent] == [
        (3, 1),
        (10, 1),
        (10, 3),
        (10, 8),
        (10, 30),
        (10, 100),
    ]
    assert {one.size for one in spent} == {0.3}
    assert [Heun(1).within(count).steps for count in (1, 2, 3, 10)] == [1, 1, 2, 5]
    assert PredictorCorrector(9).within(11, 1000).steps == 5


def test_the_distance_is_that_of_two_normals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantiles of N(m, s^2) and N(n, r^2) differ by a normal number, whose mean size is known."""
    monkeypatch.setattr(exact, "MEANS", (0.0, 0.0))
    monkeypatch.setattr(exact, "DEVIATION", 0.2)
    exact._below.cache_clear()
    z = torch.special.ndtri((torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000).numpy()
    shift, spread = 0.1, 0.05
    expected = spread * math.sqrt(2 / math.pi) * math.exp(-(shift**2) / (2 * spread**2))
    expected += shift * math.erf(shift / spread / math.sqrt(2))
    found = exact.distance(np.random.default_rng(0).permutation(shift + (0.2 + spread) * z))
    exact._below.cache_clear()
    # Tails beyond 20,000 middles, and the grid's 5e-5.
    assert found == pytest.approx(expected, rel=1e-3)


def test_exact_draws_are_as_far_as_the_floor_says() -> None:
    random = np.random.default_rng(0)
    found = []
    for _ in range(40):
        right = random.random(4000) < exact.WEIGHTS[1]
        means = np.where(right, *reversed(exact.MEANS))
        found.append(exact.distance(means + exact.DEVIATION * random.standard_normal(4000)))
    error = np.std(found) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(exact.floor(4000), abs=4 * error)


def test_one_step_of_ddim_gives_the_mean_and_many_give_the_mixture() -> None:
    """From noise alone the expected image is the mean, 0.2 and 0.8 from the modes."""
    schedule = Linear()
    far, share = exact.measured(Ddim(1), schedule)
    mean = sum(w * m for w, m in zip(exact.WEIGHTS, exact.MEANS, strict=True))
    expected = sum(w * abs(m - mean) for w, m in zip(exact.WEIGHTS, exact.MEANS, strict=True))
    # At the end a signal of 0.006 is left, which moves the expectation by its share of noise.
    assert far == pytest.approx(expected, abs=0.01)
    assert share == 0
    near, weight = exact.measured(Ddim(300), schedule)
    assert near < 4 * exact.floor()
    # Of 16,384 numbers, four standard errors.
    error = math.sqrt(0.2 * 0.8 / exact.COUNT)
    assert weight == pytest.approx(0.2, abs=4 * error + near)


def test_langevin_dynamics_finds_the_weights_in_the_end() -> None:
    schedule, shares, far = Geometric(), [], []
    for count in (10, 60, 300):
        distance, share = exact.measured(Langevin(1).within(count, 10), schedule)
        shares.append(share)
        far.append(distance)
    assert far == sorted(far, reverse=True)
    assert [abs(share - 0.2) for share in shares] == sorted(
        (abs(share - 0.2) for share in shares), reverse=True
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> naqsh.Run:
    """A score network that has hardly begun."""
    folder = tmp_path_factory.mktemp("steps") / "run"
    tiny = {"training.batch": 16, "training.steps": 2, "training.warmup": 0, "method.width": 4}
    tiny |= {"method.multipliers": (1, 2), "method.steps": 2, "method.inner": 1}
    return naqsh.train("ncsn-digits", out=folder, overrides=tiny, device="cpu", quiet=True)


def test_a_study_by_evaluations_is_measured_and_kept(
    run: naqsh.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def study(*counts: int) -> dict[str, object]:
        return samplers.study(
            run,
            ["langevin", "ddim"],
            machine=Machine(batch=12),
            evaluations=counts,
            features="pixels",
            n=12,
        )

    found = study(3, 20)
    points = [(p["sampler"], p["steps"], p.get("inner")) for p in found["points"]]  # type: ignore[attr-defined]
    spent = [("ddim", 3, None), ("ddim", 10, None), ("langevin", 3, 1), ("langevin", 10, 2)]
    assert points == spent
    assert [p["evaluations"] for p in found["points"]] == [3, 10, 4, 21]  # type: ignore[attr-defined]
    under = found["exact"]
    assert isinstance(under, dict)
    assert [(p["sampler"], p["evaluations"]) for p in under["points"]] == [
        ("ddim", 3),
        ("ddim", 10),
        ("langevin", 4),
        ("langevin", 21),
    ]
    langevin = Langevin(10, clip=True, inner=2)
    expected = exact.measured(langevin, Geometric())
    assert [under["points"][-1][name] for name in ("distance", "share")] == list(expected)
    lines = samplers.table(found)
    assert "10 × 2" in lines
    assert "lesser mode" in lines
    # Neither images nor numbers are drawn anew, and what has other steps stands beside.
    monkeypatch.setattr("naqsh.studies.exact.measured", None)
    monkeypatch.setattr("naqsh.studies.alike.draw", None)
    assert study(20) == found
    (facts,) = gather.read([run.folder.path])
    (sampled,) = facts.sampled
    assert sampled.exact is not None
    assert len(sampled.exact.points) == len(sampled.points) == 4
    assert len(kept.samplers(run.folder).find(sampler="langevin", steps=10, inner=2)) == 1


def test_what_cannot_be_spent_is_refused(
    run: naqsh.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NaqshError, match="evaluations must be at least 1"):
        samplers.study(run, evaluations=[0])
    with pytest.raises(NaqshError, match="sets inner itself"):
        samplers.study(run, ["langevin"], evaluations=[3], sampling={"inner": 4})
    path = str(run.folder.path)
    assert main(["samplers", path, "--evaluations", "3", "--steps", "3"]) == 2
    assert "stands instead of --steps" in capsys.readouterr().err
