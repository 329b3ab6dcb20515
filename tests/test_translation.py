"""Measuring what translates: distances, what they stand beside, the way back, hidden messages."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import naqsh
from naqsh import cli, metrics
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.data import DataSet, load, pixels
from naqsh.metrics.untrained import RandomFeatures
from naqsh.recipes.recipe import REGISTRY
from naqsh.runs import kept, origin, records
from naqsh.studies import translation

PLUGINS = Path(__file__).parent / "plugins"
SIDE, N = 8, 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The method that inverts digits, trained; its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAQSH_PLUGINS", "inverting")
        patch.syspath_prepend(str(PLUGINS))
        folder = tmp_path_factory.mktemp("translation") / "run"
        naqsh.train("inverting-digits", out=folder, device="cpu", quiet=True)
        yield folder
    REGISTRY.pop("inverting-digits", None)
    sys.modules.pop("inverting", None)


def two_domains(split: str, paired: bool = False) -> DataSet:
    """Digits and their negatives: of other digits, or of the same where they are paired."""
    digits = load("digits", split=split).images
    first, second = (digits[:40], digits[:40]) if paired else (digits[:40], digits[40:100])
    return DataSet.of("negatives", first, second=255 - second, paired=paired)


@pytest.fixture
def run(trained, alone, monkeypatch):
    """The run, opened, with images of two domains; nothing was measured of it yet."""
    (trained / "translation.json").unlink(missing_ok=True)
    use(monkeypatch)
    return naqsh.open(trained)


def use(monkeypatch, paired: bool = False) -> None:
    def find(recipe, folder, split, given=None, home=None):
        return origin.Found(two_domains(split, paired), None, recipe)

    monkeypatch.setattr(origin, "find", find)


def test_both_ways_beside_what_copies_and_real_images_come_to(run):
    found = translation.study(run)
    assert [d.of.to for d in found.directions] == ["B", "A"]
    features = metrics.by_name("digits")
    test, train = two_domains("test"), two_domains("train")
    sides = {"A": (test.images, train.images), "B": (test.second, train.second)}
    for of, what in found.directions:
        source = sides["A" if of.to == "B" else "B"][0]
        real, others = sides[of.to]
        assert (of.n, of.n_real, of.features) == (len(source), len(real), "digits")
        assert of.source == f"negatives test {'A' if of.to == 'B' else 'B'}"
        table = {
            "own": (255 - source, what.measures),
            "copy": (source, what.copies),
            "floor": (others[: len(source)], what.floor.measures),
        }
        for kind, (images, measured) in table.items():
            assert [m.name for m in measured] == ["kernel", "frechet"], kind
            if kind == "floor":  # which of them, the floor chooses
                assert {m.n_generated for m in measured} == {min(len(source), len(others))}
                continue
            a, b = (metrics.extract(features, part) for part in (real, images))
            value, error = metrics.kernel_distance(a, b)
            # what w lacks to -1 may turn one pixel in some by one level
            assert measured[0].value == pytest.approx(value, rel=0.01, abs=1e-4)
            assert measured[0].standard_error == pytest.approx(error, rel=0.01)
        assert what.measures[0].value < what.copies[0].value / 5
        assert what.cycle.value < 1e-3


def test_what_was_measured_is_kept_by_what_it_is_of(run):
    found = translation.study(run, machine=Machine(seed=1), n=20)
    translation.study(run, "kernel", Machine(seed=1), features="pixels", n=20)
    store = kept.translations(run.folder)
    assert len(store.read()) == 4
    again = store.find(to="B", features="digits")
    assert len(again) == 1
    assert records.read(records.TranslationOf, again[0].of) == found.directions[0].of
    assert records.read(records.Translation, again[0].found) == found.directions[0].found
    run.folder.translation.write_text('{"format": 2, "points": []}')
    with pytest.raises(NaqshError, match=r"translation\.json is damaged"):
        translation.study(run)


def test_pairs_have_an_error_of_pixels(run, monkeypatch):
    use(monkeypatch, paired=True)
    with torch.no_grad():
        run.method.numbers["B"].weight.fill_(-0.5)
        run.method.numbers["A"].weight.fill_(-1.0)
    to_b, to_a = translation.study(run, n=10).directions
    source = two_domains("test", paired=True).some(10, 0).images.astype(float) / 255
    made = np.round(255 * ((source * 2 - 1) * -0.5 + 1) / 2) / 255
    apart = np.abs(made - (1 - source))
    each = apart.mean((1, 2, 3))
    assert to_b.found.l1.value == pytest.approx(each.mean(), abs=1e-6)
    assert to_b.found.l1.error == pytest.approx(each.std(ddof=1) / 10**0.5, abs=1e-6)
    decibels = -10 * np.log10((apart**2).mean((1, 2, 3)))
    assert to_b.found.psnr.value == pytest.approx(decibels.mean(), abs=1e-3)
    assert to_a.found.psnr.value == pytest.approx(100)  # equal images
    assert to_a.found.l1.value == 0


class Hidden(torch.nn.Module):
    """Makes every image grey but for a message a thousandth high, and reads that back."""

    value_range = (0.0, 1.0)
    directions = ("B", "A")
    multiple = least = 1

    def translate(self, images, to):
        if to == "B":
            return 0.5 + (images - 0.5) / 1000
        return ((images - 0.5) * 1000 + 0.5).clamp(0, 1)


def test_noise_tells_a_hidden_message_from_content(monkeypatch):
    monkeypatch.setattr("naqsh.runs.translating.Method", torch.nn.Module)
    images = np.random.default_rng(0).integers(0, 256, (N, 1, SIDE, SIDE), np.uint8)
    found = translation._disturb(Hidden(), DataSet.of("noise", images), "B", Machine())
    assert [level.sigma for level in found] == list(translation.SIGMAS)
    by_sigma = {level.sigma: level.cycle.value for level in found}
    assert by_sigma[0.0] < 1e-4  # float32's rounding, a thousand times
    # sigma is twenty times the message: what comes back is black or white by chance
    assert by_sigma[0.02] == pytest.approx(0.5, abs=0.02)

    class Open(Hidden):
        def translate(self, images, to):
            return 1 - images

    found = translation._disturb(Open(), DataSet.of("noise", images), "B", Machine(batch=7))
    for level in found[1:]:
        # the mean of |sigma z| is sigma sqrt(2 / pi); of 1920 z its error is 1.4 %
        due = level.sigma * (2 / np.pi) ** 0.5
        assert level.cycle.value == pytest.approx(due, rel=0.05)
    times = [level.cycle.value / level.sigma for level in found[1:]]
    assert max(times) / min(times) < 1 + 1e-4  # one noise at every sigma


def test_the_same_noise_in_every_batch(run):
    whole = translation._disturb(run.method, two_domains("test"), "B", Machine(batch=16))
    parts = translation._disturb(run.method, two_domains("test"), "B", Machine(batch=5))
    for a, b in zip(whole, parts, strict=True):
        assert a.cycle.value == pytest.approx(b.cycle.value, abs=1e-6)


def test_features_that_cannot_be_had_are_replaced_and_it_is_said(run, monkeypatch):
    def lost(name, device="cpu"):
        raise NaqshError("no weights here")

    monkeypatch.setattr(translation, "extractor", lost)
    found = translation.study(run, n=8)
    assert {d.of.features for d in found.directions} == {"random"}
    assert "no weights here" in str(found)
    assert "measured by random filters" in found.directions[0].found.remarks[0]
    with pytest.raises(NaqshError, match="no weights here"):
        translation.study(run, features="digits")


def test_evaluate_measures_what_translates(run, capsys):
    folder = str(run.folder.path)
    assert cli.main(["evaluate", folder, "--device", "cpu", "--n", "12"]) == 0
    shown = capsys.readouterr().out
    assert "to B: 12 images of negatives test A, against 60 of negatives test B" in shown
    assert "kernel distance" in shown
    assert "with noise 0.02 between" in shown
    assert shown.index("kernel distance") < shown.index("Fréchet distance")
    words = ["evaluate", folder, "--device", "cpu", "--n", "12", "--json", "--metrics", "kid"]
    assert cli.main(words) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [m["name"] for m in plain["directions"][1]["measures"]] == ["kernel"]
    assert run.evaluate("kernel", n=12).to_dict() == plain


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--metrics", "pr"], "a translation is measured by kernel and frechet, not by pr"),
        (["--reference", "train"], "leave --reference out"),
        (["--n", "3"], "kernel needs at least 4 images on each side"),
        (["--features", "mnist"], "features 'mnist' are of 1x28x28 images"),
        (["--batch", "0"], "cannot take 0 images"),
    ],
)
def test_what_cannot_be_measured(run, capsys, words, said):
    assert cli.main(["evaluate", str(run.folder.path), "--device", "cpu", *words]) == 2
    assert said in capsys.readouterr().err
    assert not run.folder.translation.exists()


def test_a_set_of_one_domain(run, monkeypatch):
    def find(recipe, folder, split, given=None, home=None):
        return origin.Found(load("digits", split=split), None, recipe)

    monkeypatch.setattr(origin, "find", find)
    with pytest.raises(NaqshError, match="digits has one domain"):
        translation.study(run)


def test_random_features_know_colours_and_textures():
    features = RandomFeatures()
    x = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (40, 3, 32, 48), np.uint8))
    smooth = x // 8 + 112
    rows = metrics.extract(features, x)
    assert rows.shape == (40, features.dimension)
    torch.testing.assert_close(rows, metrics.extract(RandomFeatures(), x, batch=7))
    near = metrics.frechet_distance_features(rows[:20], rows[20:])
    assert metrics.frechet_distance_features(rows, metrics.extract(features, smooth)) > 3 * near
    red = x.clone()
    red[:, 1:] //= 2
    assert metrics.frechet_distance_features(rows, metrics.extract(features, red)) > 3 * near
    grey = x[:, :1]
    torch.testing.assert_close(
        metrics.extract(features, grey),
        metrics.extract(features, torch.from_numpy(pixels.recolour(grey.numpy(), 3))),
    )
    assert metrics.by_name("random").fingerprint == features.fingerprint


@pytest.fixture
def known(trained, alone, monkeypatch):
    """The recipe of the toy method, by its name."""
    monkeypatch.setenv("NAQSH_PLUGINS", "inverting")


COMPARE = ["compare", "--recipes", "inverting-digits", "--images", "640", "--device", "cpu"]


def test_variants_of_one_recipe_stand_on_one_page(known, capsys):
    words = [*COMPARE, "--out", "ab", "--quiet"]
    words += ["--override", "method.optimizer.lr=0.001", "--features", "digits"]
    words += ["--override", "method.optimizer.lr=0.1,training.batch=16"]
    assert cli.main(words) == 0
    folders = ["inverting-digits", "inverting-digits-lr-0.001", "inverting-digits-lr-0.1-batch-16"]
    assert sorted(path.name for path in Path("ab").iterdir() if path.is_dir()) == folders
    runs = [naqsh.open(Path("ab") / name) for name in folders]
    assert [run.recipe.method.optimizer.lr for run in runs] == [0.5, 0.001, 0.1]
    assert [run.recipe.training.batch for run in runs] == [32, 32, 16]
    assert [run.step for run in runs] == [20] * 3  # variants are trained for as many steps
    full, slow, _ = (kept.translations(run.folder).find(to="B") for run in runs)
    assert full[0].found["measures"][0]["value"] < slow[0].found["measures"][0]["value"]
    page = Path("ab/report.html").read_text(encoding="utf-8")
    assert "Translations compared on digits" in page
    for name in folders:
        assert f"<td>{name}" in page or f">{name}<" in page, name
    assert "Quality, diversity and speed" not in page
    before = Path("ab/inverting-digits/translation.json").read_bytes()
    assert cli.main(words) == 0  # nothing is left to do
    assert Path("ab/inverting-digits/translation.json").read_bytes() == before
    capsys.readouterr()
    assert cli.main([*words, "--override", "training.batch=8"]) == 2
    assert "holds a comparison with variants" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--override", "method.optimizer.lr"], "--override needs NAME=VALUE"),
        (["--override", "method.optimiser.lr=1"], "optimiser"),
        (["gan-digits"], "measured otherwise: compare either"),
    ],
)
def test_variants_that_cannot_be(known, capsys, words, said):
    if words == ["gan-digits"]:
        words = ["--recipes", "gan-digits", "inverting-digits"]
    assert cli.main([*COMPARE, *words, "--out", "ab"]) == 2
    assert said in capsys.readouterr().err
