"""Segmentation by features, on a tiny model and a few scenes: fitted, measured, kept, applied."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

import naqsh
from naqsh import cli
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise
from naqsh.data import textured
from naqsh.data.labelled import VOID, Labelled
from naqsh.io import masks as coloured
from naqsh.metrics import segmentation as metrics
from naqsh.recipes import by_name
from naqsh.runs import kept, records
from naqsh.studies import segmentation
from naqsh.studies.segmentation import (
    applying,
    approaches,
    ensemble,
    looking,
    measuring,
    scratch,
    source,
)
from small import tiny

SIDE = 16
FEW = {"labelled": 3, "draws": 2, "members": 3, "n": 6}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Twenty scenes of 16 px as a folder of images and masks."""
    place = tmp_path_factory.mktemp("data") / "scenes"
    made = next(textured.render(textured.chances("train", 20), SIDE))
    for part, rows in (("images", made.images), ("masks", made.masks)):
        (place / part).mkdir(parents=True)
        for number, row in enumerate(rows):
            picture = Image.fromarray(row.transpose(1, 2, 0) if row.ndim == 3 else row)
            picture.save(place / part / f"{number:02}.png")
    return place


@pytest.fixture(scope="module")
def trained(scenes, tmp_path_factory):
    """A diffusion model of these images after two steps."""
    folder = tmp_path_factory.mktemp("runs") / "ddpm"
    recipe = tiny(
        by_name("ddpm-textured-shapes"), data__name=str(scenes / "images"), training__steps=2
    )
    naqsh.train(recipe, out=folder, device="cpu", quiet=True)
    return folder


@pytest.fixture(scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "STEPS", 4)
        patch.setattr(scratch, "UPDATES", 2)
        yield


@pytest.fixture(scope="module")
def measured(trained, scenes, quick):
    """The run with a study, and the study."""
    run = naqsh.open(trained)
    return run, run.segment(data=str(scenes), **{**FEW, "labelled": 3})


@pytest.fixture
def copied(measured, alone):
    shutil.copytree(measured[0].folder.path, "run")
    return naqsh.open("run")


def test_every_approach_is_measured_on_every_draw(measured):
    run, found = measured
    assert [one.name for one in found.found.approaches] == [
        *("features", "scratch", "untrained", "places", "pixels"),
    ]
    for one in found.found.approaches:
        assert len(one.mean_iou) == len(one.accuracy) == 2
        known = [value for value in one.iou if value is not None]
        assert np.mean(known) == pytest.approx(np.mean(one.mean_iou), abs=1e-12)
    assert (found.of.n, found.found.pool) == (6, 10)
    (kept_one,) = kept.segmentations(run.folder).read()
    assert kept_one.found == json.loads(json.dumps(records.plain(found.found)))
    with Image.open(run.folder.path / found.found.picture) as image:
        assert image.size == ((SIDE + 2) * 6 * 4 - 8, (SIDE + 2) * 5 * 4 - 8)


def test_the_same_study_is_the_same_to_the_bit(measured, scenes):
    run, found = measured
    again = naqsh.open(run.folder.path).segment(data=str(scenes), **FEW)
    assert again == found
    other = naqsh.open(run.folder.path).segment(data=str(scenes), seed=1, **FEW)
    assert other.found.approaches != found.found.approaches
    assert len(kept.segmentations(run.folder).read()) == 2


def test_intervals_are_students_over_draws():
    rows = [(0.5, 0.6, 0.55), (0.4, 0.35, 0.45)]
    one, other = (
        records.Classified(name, row, row, (0.5, None))
        for name, row in zip(("features", "pixels"), rows, strict=True)
    )
    found = records.Segmentation(("a", "b"), (one, other), 9, None, "x.png")
    mean, (low, high) = one.over_draws()
    assert mean == pytest.approx(0.55)
    assert (low, high) == pytest.approx(
        stats.t.interval(0.95, 2, 0.55, stats.sem(rows[0])), rel=1e-6
    )
    apart = np.subtract(*rows)  # of the same draws, so paired
    above, interval = found.above("pixels")
    assert above == pytest.approx(apart.mean())
    assert interval == pytest.approx(
        stats.t.interval(0.95, 2, apart.mean(), stats.sem(apart)), rel=1e-6
    )
    assert records.Classified("features", (0.5,), (0.5,), (0.5,)).over_draws() == (0.5, None)


def test_draws_are_of_the_images_to_choose_from_alone():
    first, second = (measuring._draw(50, 20, 0, k).tolist() for k in range(2))
    assert len(set(first)) == len(set(second)) == 20
    assert first != second
    assert measuring._draw(50, 20, 0, 0).tolist() == first
    assert max(*first, *second) < 50


def test_the_confusion_is_that_of_the_votes(measured, scenes):
    """Mean IoU of the first draw from the kept ensemble, by another way through the code."""
    run, found = measured
    one, of, classes = applying.load(run)
    _, test = source.labelled_images(str(scenes), (3, SIDE, SIDE))
    test = test.subset(np.arange(6))
    method = run.method
    look = looking.looking(method, method.denoiser, of.levels, of.seed)
    images = torch.from_numpy(test.images).float() / 127.5 - 1
    masks, _ = looking.predicted(one, look(images))
    counts = metrics.confusion(test.masks, masks, len(classes))
    if of.seed == 0:
        assert metrics.mean_iou(counts) == found.found.approaches[0].mean_iou[0]


def test_pixels_that_differ_by_colour_are_learnt():
    """Two colours, two classes, and a corner whose class is not known and is wrong in truth."""
    chance = np.random.default_rng(0).random((6, 8, 8)) < 0.5
    images = torch.from_numpy(np.where(chance, 0.7, -0.7)[:, None]).float().expand(-1, 3, -1, -1)
    masks = torch.from_numpy(chance).long()
    hidden = masks.clone()
    hidden[:, :4] = VOID
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "STEPS", 40)
        fitted = ensemble.fit([images], hidden, 2, 3, 0)
    said, unsure = looking.predicted(fitted, [images])
    assert np.array_equal(said, chance)
    assert unsure.max() < 0.05
    table, targets = ensemble._pixels([images], hidden, 0)
    assert len(table) == 6 * 4 * 8
    assert torch.equal(table[:, 0] > 0, targets == 1)


def test_a_large_table_has_as_many_pixels_as_the_memory():
    images, masks = torch.randn(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "TABLE", 3 * 2 * 10)
        table, _ = ensemble._pixels([images], masks, 0)
    assert table.shape == (20, 3)
    assert len(torch.unique(table, dim=0)) == 20


def test_a_u_net_from_scratch_sees_masks_moved_with_images():
    masks = torch.arange(2 * 64).view(2, 8, 8) % 7
    masks[0, 0, 0] = VOID
    moved, seen = scratch._moved(masks[:, None].float(), masks, True, Noise(0, 2))
    assert torch.equal(moved[:, 0].long(), seen)
    assert not torch.equal(seen, masks)
    plain, _ = scratch._moved(masks[:, None].float(), masks, False, Noise(0, 2))
    assert plain.shape == (2, 1, 8, 8)


def test_the_untrained_network_is_fresh_and_leaves_the_trained_one(measured):
    run, _ = measured
    before = {k: v.clone() for k, v in run.method.state_dict().items()}
    fresh = approaches.untrained(run.method, run.layout, 0)
    again = approaches.untrained(run.method, run.layout, 0)
    assert torch.equal(fresh.network.first.weight, again.network.first.weight)
    assert not torch.equal(fresh.network.first.weight, run.method.denoiser.network.first.weight)
    assert all(torch.equal(v, before[k]) for k, v in run.method.state_dict().items())


def test_coordinates_are_of_columns_and_rows():
    grid = approaches.coordinates(torch.zeros(2, 3, 3, 5))
    assert grid.shape == (2, 2, 3, 5)
    assert grid[1, 0, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert grid[0, 1, :, 2].tolist() == [-1, 0, 1]


def test_wrong_pixels_among_the_least_sure_ones():
    truth = np.zeros((1, 4, 5), np.uint8)
    truth[0, 0, 0] = VOID
    said = np.zeros_like(truth)
    said[0, 1, :4] = 1  # four are wrong
    unsure = np.zeros((1, 4, 5), np.float32)
    unsure[0, 0, 0], unsure[0, 1, 0], unsure[0, 3, 3] = 3, 2, 1  # of 19 known ones two are taken
    tested = measuring._Tested([], said, unsure, lambda maps: maps[0])
    test = Labelled("x", np.zeros((1, 3, 4, 5), np.uint8), truth, ("a", "b"))
    assert measuring._uncertain(test, tested) == 0.25
    assert measuring._uncertain(test, tested._replace(masks=truth)) is None


def test_images_are_segmented_by_what_was_kept(copied, scenes):
    large = Image.open(scenes / "images" / "03.png").resize((48, 32))
    Path("photos/inside").mkdir(parents=True)
    large.save("photos/a.png")
    shutil.copy(scenes / "images" / "04.png", "photos/inside/b.png")
    assert cli.main(["segment", "run", "photos", "--out", "made", "--device", "cpu"]) == 0
    assert sorted(file.name for file in Path("made").iterdir()) == [
        *("a-overlay.png", "a-unsure.png", "a.png"),
        *("inside-b-overlay.png", "inside-b-unsure.png", "inside-b.png"),
    ]
    one, of, classes = applying.load(copied)
    image = np.asarray(Image.open(scenes / "images" / "04.png")).transpose(2, 0, 1)[None]
    look = looking.looking(copied.method, copied.method.denoiser, of.levels, of.seed)
    mask, _ = looking.predicted(one, look(torch.from_numpy(image.copy()).float() / 127.5 - 1))
    with Image.open("made/inside-b.png") as written:
        assert written.mode == "P"
        assert np.array_equal(np.asarray(written), mask[0])
    with Image.open("made/inside-b-overlay.png") as written:
        due = coloured.overlaid(image, mask, len(classes))[0]
        assert np.array_equal(np.asarray(written), due.transpose(1, 2, 0))
    with pytest.raises(NaqshError, match="holds 6 files already"):
        copied.save_segmentations("photos", "made")
    Path("photos/broken.png").write_bytes(b"x")
    with pytest.raises(NaqshError, match="skip-broken"):
        copied.save_segmentations("photos", "again")
    assert not list(Path("again").glob("*"))
    saved = copied.save_segmentations("photos", "again", skip_broken=True)
    assert (saved.images, len(saved.left_out)) == (2, 1)


def test_what_is_kept_is_of_one_checkpoint(copied):
    path = copied.folder.segmenter
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + b"12345678")
    with pytest.raises(NaqshError, match="does not have the digest"):
        applying.load(copied)
    path.write_bytes(whole.replace(b'\\"step\\": 2', b'\\"step\\": 1'))
    with pytest.raises(NaqshError, match="of step 1, and these are the last ones of step 2"):
        applying.load(copied)
    path.write_bytes(whole.replace(b'\\"members\\": 3', b'\\"members\\": 0'))
    with pytest.raises(NaqshError, match="is damaged"):
        applying.load(copied)
    path.unlink()
    with pytest.raises(NaqshError, match="has no classifiers"):
        applying.load(copied)


def test_faults_of_an_inspection_set_are_a_class(discs):
    pool, test = source.labelled_images(str(discs), (3, SIDE, SIDE))
    assert pool.classes == ("background", "fault")
    assert len(pool) == len(test) == 12
    both = np.concatenate([pool.masks, test.masks])
    assert sorted(np.unique(both)) == [0, 1]
    assert both[(both == 1).any((1, 2))].shape[0] == 16


def test_the_named_set_has_masks_of_its_own_images():
    pool, test = source.labelled_images("textured-shapes", (3, 8, 8))
    assert (len(pool), len(test)) == (source.POOL, 1000)
    again = next(textured.render(textured.chances("test", 5), 8))
    assert np.array_equal(test.images[:5], again.images)
    assert np.array_equal(test.masks[:5], again.masks)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--data", "digits"], "digits has no masks"),
        (["--data", "nowhere"], "there is no folder nowhere"),
        (["--data", "bare"], "bare has no masks: a folder needs images/ and masks/"),
        (["--labelled", "11"], "has 10 images to label .* --labelled 10 or fewer"),
        (["--labelled", "0"], "labelled must be at least 1"),
        (["--levels", "0"], "levels are noise over signal, above 0"),
        (["--levels", "low"], "--levels needs numbers"),
        (["--out", "x"], "give both images and --out"),
        (["nowhere.png", "--out", "x"], "there is no nowhere.png"),
    ],
)
def test_what_cannot_be_is_one_line(copied, scenes, options, why, capsys):
    Path("bare").mkdir()
    Image.new("RGB", (16, 16)).save("bare/a.png")
    given = options if "--data" in options else [*options, "--data", str(scenes)]
    assert cli.main(["segment", "run", *given]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(why, said), said
    assert not Path("x").exists()


def test_a_run_without_a_u_net_is_refused(finished):
    with pytest.raises(NaqshError, match="has no U-Net that denoises"):
        segmentation.study(naqsh.open(finished), Machine())


def test_images_without_a_labelled_pixel_are_refused():
    masks = np.full((2, 4, 4), VOID, np.uint8)
    with pytest.raises(NaqshError, match="no pixel of 2 images of x has a class"):
        measuring._require_known(Labelled("x", np.zeros((2, 3, 4, 4), np.uint8), masks, ("a", "b")))
    masks[0, 0, 0] = 1
    measuring._require_known(Labelled("x", np.zeros((2, 3, 4, 4), np.uint8), masks, ("a", "b")))


def test_overlays_leave_the_first_class_as_it_is():
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 2, 2)).astype(np.uint8)
    masks = np.array([[[0, 1], [2, VOID]]])
    over = coloured.overlaid(images, masks, 3)
    grey = images.mean(1)[0]
    assert np.abs(over[0, :, 0, 0] - grey[0, 0]).max() <= 0.5
    due = 0.6 * coloured.colours(3)[1] + 0.4 * grey[0, 1]
    assert np.abs(over[0, :, 0, 1] - due).max() <= 0.5
    assert np.array_equal(coloured.painted(masks, 3)[0, :, 1, 1], [255] * 3)
    assert len({tuple(c) for c in coloured.colours(64).tolist()}) == 64
