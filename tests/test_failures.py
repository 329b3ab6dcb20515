"""The study of failures: seeds side by side are the trainer's own, and its numbers are right."""

import json
import multiprocessing

import numpy as np
import pytest
import torch
from torch import nn

from naqsh import data, report
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise, Noises
from naqsh.data.points import MIXTURES
from naqsh.networks.stacked import Stacked
from naqsh.report.words import LANGUAGES, Words
from naqsh.runs import records
from naqsh.runs.records import BINS, Course, Density, Failures, Trial, Tried, Vanishing
from naqsh.studies import failures
from naqsh.studies.failures import dirac, vanishing
from naqsh.studies.failures.courses import courses
from naqsh.studies.failures.remedies import ALONE, COMMON, REMEDIES, recipes
from naqsh.studies.failures.side_by_side import SideBySide
from naqsh.studies.failures.work import tried_of
from naqsh.studies.failures.workers import each


@pytest.fixture(scope="module")
def ring():
    return data.load("ring")


def test_noise_of_several_blocks_is_theirs_in_turn():
    own = [Noise(seed, 5, first) for seed, first in ((3, 0), (2**62 + 1, 7), (4, 2**33))]
    both = Noises([Noise(noise.seed, 5, noise.first) for noise in own])
    for shape in ((2,), (3, 1), (9,)):
        drawn = both.normal(*shape).unflatten(0, (5, 3))
        for k, noise in enumerate(own):
            assert torch.equal(drawn[:, k], noise.normal(*shape))
    assert len(both) == 15


def test_stacked_networks_are_each_its_own():
    torch.manual_seed(0)
    networks = [
        nn.Sequential(nn.Linear(2, 8), nn.ReLU(inplace=True), nn.Linear(8, 3)) for _ in "ab"
    ]
    stacked, rows = Stacked(networks), torch.randn(10, 2)
    for k, network in enumerate(networks):
        torch.testing.assert_close(stacked(rows)[k::2], network(rows[k::2]))
    assert {w.shape[0] for w in stacked.parameters()} == {2}
    assert len(list(stacked.parameters())) == 4
    torch.testing.assert_close(stacked.weights_of(1)["0.bias"], networks[1][0].bias)


def test_networks_with_buffers_are_not_stacked():
    with pytest.raises(ValueError, match="running_mean"):
        Stacked([nn.BatchNorm1d(2), nn.BatchNorm1d(2)])


@pytest.mark.parametrize(
    "remedy", ["plain", "clipped", "gradient-penalty", "minibatch", "averaged", "r3gan"]
)
def test_seeds_side_by_side_are_trained_as_each_alone(remedy, ring):
    """To rounding: products of other shapes are summed in another order.

    Adam moves a weight by about its learning rate a step, 1e-3, whatever the size of its gradient.
    So where a gradient is itself near rounding weights may part by as much; 99 of 100 must agree
    to a thousandth of it. A wrong loss or a mixed-up seed moves most of them differently. Without
    momentum each step is nearly the sign of a gradient, and rounding grows a hundredfold a step.
    """
    made, steps = recipes("ring", remedy, (0, 1), 100), 1 if remedy == "r3gan" else 4
    together = SideBySide(made, ring)
    begun = {name: w.detach().clone() for name, w in together.method.named_parameters()}
    together.advance(steps)
    alone = [SideBySide([recipe], ring) for recipe in made]
    for k, one in enumerate(alone):
        one.advance(steps)
        for name in ("generator", "critic"):
            ours = getattr(together.method, name).weights_of(k)
            theirs = dict(getattr(one.method, name).named_parameters())
            far = torch.cat([(ours[n] - theirs[n]).detach().abs().flatten() for n in theirs])
            assert float(far.quantile(0.99)) < steps * 1e-3 / 1000
            assert float(far.max()) <= 2 * steps * 1e-3
    samples = together.samples(50)
    for k, one in enumerate(alone):
        np.testing.assert_allclose(samples[k], one.samples(50)[0], atol=1e-4)
    trained = together.method.named_parameters()
    moved = [float((begun[name] - w).detach().abs().max()) for name, w in trained]
    assert sorted(moved)[1] > 0  # the last bias of a Wasserstein critic has no gradient
    assert all(np.isfinite(together.gradient_norms("generator")))


def test_gradient_norms_are_those_of_each_seed(ring):
    made = recipes("ring", "plain", (0, 1), 100)
    together, alone = SideBySide(made, ring), [SideBySide([recipe], ring) for recipe in made]
    norms = [one.gradient_norms("generator")[0] for one in alone]
    assert together.gradient_norms("generator") == pytest.approx(norms, rel=1e-5)
    one = alone[0]
    phase = one.phases["generator"]
    phase.loss(one.updates.batches.take("generator", 0, 0, 0), 0)["total"].backward()
    squares = sum(float(p.grad.square().sum()) for p in phase.parameters())
    assert norms[0] == pytest.approx(squares**0.5, rel=1e-5)


def test_one_phase_alone_leaves_the_other_player(ring):
    trained = SideBySide(recipes("ring", "plain", (0,), 100), ring, only="critic")
    before = {n: w.clone() for n, w in trained.method.named_parameters()}
    trained.advance(2)
    after = dict(trained.method.named_parameters())
    changed = {n.partition(".")[0] for n in before if not torch.equal(before[n], after[n])}
    assert changed == {"critic"}


def test_the_dirac_gan_has_the_published_eigenvalues():
    for name, (_, gamma, slope) in dirac.GAMES.items():
        circle = dirac.play(name)
        for computed, formula in zip(circle.eigenvalues, circle.published, strict=True):
            assert computed == pytest.approx(formula, abs=1e-12)
        product = np.prod([complex(*value) for value in circle.eigenvalues])
        total = sum(complex(*value) for value in circle.eigenvalues)
        assert product == pytest.approx(slope**2)  # of the matrix ((0, f'), (-f', -gamma))
        assert total == pytest.approx(-gamma)
    # Linear: each step of the unbounded Wasserstein game grows by exactly this.
    grown = (1 + dirac.STEP**2) ** 0.5
    assert dirac.play("wasserstein").growth == pytest.approx(grown, rel=1e-9)
    assert dirac.play("minimax").growth > 1
    assert dirac.play("r1").growth < 0.99
    assert dirac.play("r1").path[0] == dirac.START


def _trial(**changes):
    return Trial(
        **{
            "data": ("ring",),
            "remedies": ("plain",),
            "seeds": (4,),
            "steps": 100,
            "n": 100,
            "fractions": (0.5, 1.0),
            "shown": (1.0,),
            "late": (0.5, 1.0),
        }
        | changes
    )


def test_a_course_counts_modes():
    mixture = MIXTURES["ring"]
    means, sigma = np.array(mixture.means), mixture.sigma
    first = np.repeat(means[:1], 100, 0)
    last = np.repeat(means[[0, 1, 2]], [60, 30, 10], 0)
    last[:5] += [4 * sigma, 0.0]  # not good, yet nearest to the first mode
    (course,) = courses({0.5: [first], 1.0: [last]}, _trial(), mixture)
    assert (course.seed, course.modes, course.held) == (4, (1, 3), (1, 2))
    assert course.good == (1.0, 0.95)
    shares = np.array([55, 30, 10]) / 95
    assert course.reverse_kl[0] == pytest.approx(np.log(8))
    assert course.reverse_kl[1] == pytest.approx(float(shares @ np.log(8 * shares)))
    assert course.moved == pytest.approx(0.4)
    (course,) = courses({0.5: [first], 1.0: [first + 100]}, _trial(), mixture)
    assert course.reverse_kl[1] is None


def test_a_density_is_packed_and_damage_is_told():
    points = np.array([[0.0, 0.9], [-0.99, -0.99], [5.0, 0.0], *[[0.5, 0.5]] * 300])
    density = Density.of(points, 1.0)
    assert density.counts.shape == (BINS, BINS)
    assert density.counts[0, 0] == 1
    assert density.counts[BINS * 3 // 4, BINS * 3 // 4] == 255
    assert np.array_equal(Density.unpacked(density.packed()).counts, density.counts)
    assert int((density.counts > 0).sum()) == 3
    for text in ("", "x", "é", density.packed()[:8], "eJwDAAAAAAE="):
        with pytest.raises(NaqshError, match="damaged"):
            Density.unpacked(text)


def test_what_cannot_be_is_refused():
    for words, match in (
        ({"data": ("ring", "moon")}, "moon"),
        ({"only": ("unrolling",)}, "remedy"),
        ({"seeds": 0}, "seeds"),
        ({"steps": 3}, "steps"),
    ):
        with pytest.raises(NaqshError, match=match):
            failures.trial(**words)
    with pytest.raises(NaqshError, match="remedy"):
        recipes("ring", "nothing", (0,), 10)
    assert failures.trial(only=("averaged",)).remedies == ("plain", "averaged")


def test_a_study_goes_on_and_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(vanishing, "STEPS", (0, 2))
    asked = failures.trial(("ring",), ("averaged",), 2, 0, 20)
    trained: list[str] = []
    was = failures.work.SideBySide

    class Counted(was):
        def __init__(self, made, points):
            trained.append(made[0].name)
            super().__init__(made, points)

    monkeypatch.setattr(failures.work, "SideBySide", Counted)
    page = failures.study(asked, tmp_path / "x", quiet=True)
    assert trained == ["ring-plain", "ring-averaged"]
    text = page.read_text(encoding="utf-8")
    assert "Averaged weights" in text
    assert text.count('aria-label="Averaged weights"') == 1
    file = tmp_path / "x" / "failures.json"
    before = json.loads(file.read_text())
    # Killed after the first remedy: what is there stays to the bit, the rest is done again.
    file.write_text(json.dumps(before | {"tried": before["tried"][:1]}))
    failures.study(asked, tmp_path / "x", quiet=True)
    after = json.loads(file.read_text())
    assert after["tried"][0] == before["tried"][0]
    assert after["tried"][1]["courses"] == before["tried"][1]["courses"]
    assert trained[2:] == ["ring-averaged"]
    failures.study(failures.trial(("ring",), ("minimax",), 2, 0, 20), tmp_path / "x", quiet=True)
    assert trained[3:] == ["ring-minimax"]
    names = [tried.remedy for tried in Failures.of(json.loads(file.read_text()), file).tried]
    assert names == ["plain", "minimax", "averaged"]
    with pytest.raises(NaqshError, match="steps 20, not 30"):
        failures.study(failures.trial(("ring",), (), 2, 0, 30), tmp_path / "x")


def test_several_processes_find_what_one_does(tmp_path):
    trial = _trial(n=20, steps=20)
    jobs = [(trial, "ring", name) for name in ("plain", "minimax", "least-squares")]
    told: list[tuple[int, int]] = []
    both = list(each(tried_of, jobs, 2, lambda *count: told.append(count)))
    alone = list(each(tried_of, jobs, 1, lambda *count: None))
    assert [tried.remedy for tried in alone] == ["plain", "minimax", "least-squares"]
    both.sort(key=lambda tried: [job[2] for job in jobs].index(tried.remedy))
    assert [tried.courses for tried in both] == [tried.courses for tried in alone]
    assert told[-1] == (3000, 3000)
    with pytest.raises(NaqshError, match="remedy"):
        list(each(tried_of, [(trial, "ring", "x"), (trial, "ring", "y")], 2, lambda *count: None))
    assert not multiprocessing.active_children()


def test_other_folders_and_damaged_files_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x")
    with pytest.raises(NaqshError, match="holds other files"):
        failures.study(failures.trial(), tmp_path / "other")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "failures.json").write_text('{"trial": 3}')
    with pytest.raises(NaqshError, match="damaged"):
        failures.study(failures.trial(), tmp_path / "bad")


def _whole():
    course = Course(4, (1, 8), (0, 8), (0.5, 0.99), (None, 0.0), 0.25)
    density = Density.of(np.array([[1.0, 0.0]]), 1.5).packed()
    means = MIXTURES["ring"].means
    tried = Tried("ring", "plain", {}, 1.0, False, (course,), (density,), 1.5, means)
    faded = Vanishing("minimax", (0, 10), ((1.0,), (0.25,)))
    return Failures(_trial(), (tried,), (dirac.play("r1"),), (faded,))


def test_the_page_names_what_all_of_them_change():
    said = Words("en").text("tables.changes.caption", steps=7)
    for name, value in COMMON.items():
        assert f"--{name} {value}" in said


@pytest.mark.parametrize("language", ["en", "fa"])
def test_a_page_says_what_the_file_says(tmp_path, language):
    (tmp_path / "failures.json").write_text(json.dumps(records.plain(_whole())))
    report.write(tmp_path, tmp_path / "page.html", language)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for value in ("8", "99.0", "25.0", "0.25"):
        assert f'<data value="{value}"' in page


@pytest.mark.parametrize(
    "damage",
    [
        lambda plain: plain["tried"][0].update(courses=[]),
        lambda plain: plain["tried"][0].update(densities=["x"]),
        lambda plain: plain["tried"][0].update(means=[]),
        lambda plain: plain["tried"][0].update(extent=0.0),
        lambda plain: plain["tried"][0]["courses"][0].update(good=[0.5]),
        lambda plain: plain["vanishing"][0].update(norms=[[1.0]]),
        lambda plain: plain["vanishing"][0].update(norms=[[1.0], [-1.0]]),
        lambda plain: plain["circles"][0].update(path=[]),
        lambda plain: plain["trial"].update(seeds=[]),
    ],
)
def test_damage_is_one_line(tmp_path, damage):
    plain = json.loads(json.dumps(records.plain(_whole())))
    damage(plain)
    (tmp_path / "failures.json").write_text(json.dumps(plain))
    with pytest.raises(NaqshError, match="damaged"):
        report.write(tmp_path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_every_remedy_has_a_name_and_a_recipe():
    for name in REMEDIES:
        assert [r.training.seed for r in recipes("grid", name, (2, 3), 10)] == [2, 3]
        assert all(f"remedies.{name}" in Words(language) for language in LANGUAGES)
    assert {"r1", "relativistic"} <= set(REMEDIES) - ALONE
    assert set(REMEDIES) >= ALONE | set(vanishing.OBJECTIVES)
    assert records.plain(failures.trial())["remedies"] == list(REMEDIES)
