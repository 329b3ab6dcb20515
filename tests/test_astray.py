"""Noise among a stage's samples is said, once and at the end; alike sets are left alone."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from naqsh import data
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.thinning import evenly
from naqsh.io.foreign import read_lines
from naqsh.metrics.nearness import Pixels, chance, nearest
from naqsh.recipes import by_name
from naqsh.runs.folder import RunFolder
from naqsh.training import astray
from naqsh.training.astray import RARE, Watch, look
from small import tiny, tiny_data, trainer


@pytest.fixture(scope="module")
def digits() -> tuple[Pixels, Pixels]:
    train, test = data.load("digits"), data.load("digits", split="test")
    return train.images, test.images


def noise(count: int, shape: tuple[int, ...]) -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_the_chances_that_the_module_states() -> None:
    """C(100, 5) / C(500, 5), and one less is not rare; two stages may speak."""
    assert chance(5, 100, 400) == pytest.approx(math.comb(100, 5) / math.comb(500, 5))
    assert 2.5e-4 < chance(5, 100, 400) < 3.5e-4 < RARE < chance(4, 100, 400)


def test_real_images_are_not_astray(digits: tuple[Pixels, Pixels]) -> None:
    train, test = digits
    for first in (0, 97, 190):
        found = look(test[first : first + 100], train)
        assert found["chance"] >= RARE
        assert np.mean(found["distances"]) == pytest.approx(found["usual"], rel=0.2)


def test_few_alarms_where_all_are_alike() -> None:
    """400 looks at sets that are alike: a rate of RARE gives above 3 with a chance of 0.001."""
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(400):
        real = random.normal(128, 30, (260, 1, 3, 3)).clip(0, 255).astype(np.uint8)
        alarms += look(real[:100], real[100:])["chance"] < RARE
    assert alarms <= 3


@pytest.mark.parametrize("noisy", [8, 100])
def test_noise_among_samples_is_found(digits: tuple[Pixels, Pixels], noisy: int) -> None:
    train, test = digits
    samples = test[:100].copy()
    samples[:noisy] = noise(noisy, train.shape[1:])
    found = look(samples, train)
    assert found["astray"] >= noisy / 100
    assert found["chance"] < RARE


def test_distances_are_of_images_that_are_not_kept_back(digits: tuple[Pixels, Pixels]) -> None:
    """By the definition, in float64; and which are kept back."""
    train, test = digits[0][:50], digits[1][:7]
    found = look(test, train)
    back = evenly(50, 25)
    others = np.delete(train, back, axis=0)
    assert len(others) == 25
    gaps = (test[:, None].astype(float) - others[None]) / 255
    np.testing.assert_allclose(
        found["distances"], np.sqrt((gaps**2).mean((2, 3, 4))).min(1), atol=1e-5
    )
    assert found["usual"] == pytest.approx(nearest(train[back], others)[0].mean(), abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 5, 80), (3, 200, 200), (1, 32, 32), (3, 1, 1)])
def test_large_images_and_many_are_looked_at_in_part(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    plain = astray.nearest

    def counted(wanted: Pixels, among: Pixels):
        assert max(wanted.shape[2:]) <= astray.SIDE
        seen.append(len(wanted) * len(among) * math.prod(wanted.shape[1:]))
        return plain(wanted, among)

    monkeypatch.setattr(astray, "nearest", counted)
    monkeypatch.setattr(astray, "WORK", 1e6)
    assert look(noise(10, shape), noise(60, shape))["chance"] > RARE
    assert sum(seen) <= 1e6 or len(seen) == 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images_are_never_enough_to_tell(count: int) -> None:
    dark = np.zeros((count, 1, 4, 4), np.uint8)
    assert look(noise(100, (1, 4, 4)), dark).get("chance", 1.0) >= RARE


def stage(share: float, distance: float = 0.3) -> dict:
    near = {"astray": share, "chance": chance(round(100 * share), 100, 400), "usual": 0.1}
    spread = np.random.default_rng(0).normal(0, 0.01, 100)
    return {"nearness": near | {"distances": (distance + spread).tolist()}}


RULES = {  # share astray at the three stages, and the rules that speak after each
    "noise at first": ([1, 0.01, 0], [[], [], []]),
    "noise to the end": ([1, 1, 0.4], [[], ["astray"], ["astray"]]),
    "over": ([1, 0.2, 0.04], [[], ["astray"], ["astray_over"]]),
    "noise at last": ([1, 0, 0.05], [[], [], ["astray"]]),
    "never": ([0.04, 0.04, 0.04], [[], [], []]),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("resumed", [0, 1, 2])
def test_what_is_said_of_stages(name: str, resumed: int) -> None:
    """Also when the run goes on from a checkpoint and hears the stages before it again."""
    shares, expected = RULES[name]
    watch, said = Watch(), []
    for number, share in enumerate(shares):
        if number == resumed:
            watch = Watch()
            for before in shares[:number]:
                watch.read(stage(before), last=False)
        said.append([one.rule for one in watch.read(stage(share), last=number == 2)])
    assert said == expected


def test_a_run_of_one_stage_is_told_of() -> None:
    (said,) = Watch().read(stage(1), last=True)
    assert said.value == 1
    assert said.words.startswith("100.0% of the samples are farther")
    assert "Try" in said.words
    assert Watch().read({"step": 1}, last=True) == []


@pytest.mark.parametrize(("rise", "worse"), [(0.1, True), (0.0, False), (-0.1, False)])
def test_samples_that_become_worse(rise: float, worse: bool) -> None:
    watch = Watch()
    watch.read(stage(1, 0.4), last=False)
    watch.read(stage(0.5, 0.2), last=False)
    found = watch.read(stage(0.5, 0.2 + rise), last=True)
    assert [one.rule for one in found] == ["astray"] + ["worse"] * worse
    if worse:
        assert found[1].before == f"{np.mean(stage(1, 0.2)['nearness']['distances']):.3g}"
        assert found[1].value == pytest.approx(0.3, abs=0.01)


def test_a_rise_within_its_error_is_not_told() -> None:
    """Four standard errors of the mean difference of pairs."""
    random = np.random.default_rng(1)
    gaps = random.normal(0, 1, 100)
    gaps = (gaps - gaps.mean()) / gaps.std(ddof=1) / 10  # its standard error is 0.01
    for mean, worse in ((0.039, False), (0.041, True)):
        assert astray._rose([0.5] * 100, (0.5 + mean + gaps).tolist()) is worse
    assert not astray._rose([0.5] * 3, [0.9] * 4)
    assert not astray._rose([0.5], [0.9])


def broken(self: Method, noise: Noise) -> torch.Tensor:
    return noise.uniform(*self.shape)


NAMES = ["vae-digits", "gan-digits", "maf-digits", "ddpm-digits"]


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_sampler_is_noticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trainer(tiny(by_name(name)), tiny_data(1), tmp_path)
    monkeypatch.setattr(type(one.method), "sample", broken)
    one.run()
    folder = RunFolder(tmp_path)
    said = [(note["step"], note["rule"]) for note in read_lines(folder.diagnosis)]
    assert said == [(4, "astray"), (6, "astray")]
    assert [s["nearness"]["astray"] for s in read_lines(folder.stages)] == [1, 1, 1]


def test_a_sampler_of_real_images_is_not_remarked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = tiny_data(1, 300).images[200:]

    def real(self: Method, noise: Noise) -> torch.Tensor:
        return torch.from_numpy(alike).float() / 255

    one = trainer(tiny(by_name("gan-digits")), tiny_data(1, 200), tmp_path)
    monkeypatch.setattr(type(one.method), "sample", real)
    one.run()
    assert list(read_lines(RunFolder(tmp_path).diagnosis)) == []
