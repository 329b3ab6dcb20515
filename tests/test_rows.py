"""One maker of batches: every column of a data set, in training as where rows are named."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from columns import D, K, M, with_every_column
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.core.world import World
from naqsh.data import DataSet
from naqsh.data import dataset as module
from naqsh.data.pixels import larger
from naqsh.recipes import by_name
from naqsh.training.rows import Batches, Others, fixed

N = 12


def every_column(paired: bool = False) -> DataSet:
    """Every value tells its row."""
    rows = np.arange(N, dtype=np.uint8)
    images = np.broadcast_to(rows[:, None, None, None], (N, 1, 2, 2))
    labels = np.arange(N) % 3
    return with_every_column(DataSet.of("every column", images, labels, ("a", "b", "c")), paired)


def stream(data: DataSet, batch: int = 6, rank: int = 0, size: int = 1, **how: object) -> Batches:
    changes = {f"data.{name}": value for name, value in how.items()}
    recipe = by_name("gan-digits").override(
        {"training.batch": batch, "training.seed": 4, **changes}
    )
    world = World(rank, size, torch.device("cpu"))
    return Batches(recipe, data, (0.0, 255.0), 1, world)


def rows_of(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].round().int().tolist()


def test_the_layout_names_the_columns():
    assert every_column().layout == Layout((1, 2, 2), ("a", "b", "c"), D, (3, 4, 4))
    plain = DataSet.of("plain", np.zeros((3, 1, 2, 2), np.uint8))
    assert plain.layout == Layout((1, 2, 2))
    batch = fixed(plain, [0, 1], (-1, 1), Noise(0, 2))
    assert (batch.labels, batch.captions, batch.mismatched, batch.second) == (None,) * 4


@pytest.mark.parametrize("paired", [False, True])
def test_a_batch_of_the_stream_has_what_belongs_to_its_images(paired):
    data = every_column(paired)
    seen: list[tuple[int, int]] = []
    for step in range(80):
        batch = stream(data).take("phase", step, 0, 0)
        rows = rows_of(batch.images)
        assert batch.labels.tolist() == [row % 3 for row in rows]
        assert batch.captions[:, 0].int().tolist() == rows
        others = batch.mismatched[:, 0].int().tolist()
        assert all(other % 3 != row % 3 for other, row in zip(others, rows, strict=True))
        assert batch.second.shape == (6, 3, 4, 4)
        if paired:
            assert rows_of(batch.second) == [100 + row for row in rows]
        seen += zip(rows, batch.captions[:, 1].int().tolist(), strict=True)
    # Every caption has its turn: of 480 draws all miss one of 36 with a chance of 5e-5.
    assert set(seen) == {(n, k) for n in range(N) for k in range(K)}


def test_a_second_domain_has_an_order_and_epochs_of_its_own():
    data = every_column()
    one = stream(data, M)
    epochs = [rows_of(one.take("p", step, 0, 0).second) for step in range(3)]
    assert all(sorted(epoch) == list(range(100, 100 + M)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_mismatched_captions_are_even_over_the_other_classes():
    others = Others(every_column())
    row = np.full(80_000, 4)
    counts = np.bincount(others(row, Noise(1, len(row))), minlength=N)
    assert (counts[1::3] == 0).all()
    expected = len(row) / 8
    # Five standard deviations of a binomial count.
    assert (abs(counts[np.arange(N) % 3 != 1] - expected) < 5 * expected**0.5).all()


@pytest.mark.parametrize("labels", [None, np.zeros(4, int)])
def test_without_other_classes_it_is_any_other_image(labels):
    data = DataSet.of("x", np.zeros((4, 1, 2, 2), np.uint8), labels, ("a",) * (labels is not None))
    chosen = Others(data)(np.tile(np.arange(4), 500), Noise(1, 2000))
    assert {(int(a), int(b)) for a, b in zip(np.tile(np.arange(4), 500), chosen, strict=True)} == {
        (a, b) for a in range(4) for b in range(4) if a != b
    }
    with pytest.raises(ValueError, match="at least 2"):
        Others(data.subset([0]))


def test_ranks_and_parts_share_what_one_process_sees():
    data = every_column()
    whole = stream(data).take("p", 3, 0, 0)
    halves = [stream(data, rank=rank, size=2).take("p", 3, 0, 0) for rank in (0, 1)]
    for name in ("images", "labels", "captions", "mismatched", "second"):
        assert torch.equal(torch.cat([getattr(h, name) for h in halves]), getattr(whole, name))


def test_named_rows():
    data = every_column()
    batch = fixed(data, [3, 9], (0.0, 255.0), Noise(5, 2))
    assert rows_of(batch.images) == [3, 9]
    assert batch.captions[:, :2].int().tolist() == [[3, 0], [9, 0]]
    assert rows_of(batch.second) == [103, 102]  # row 9 of 7: from the beginning again
    assert all(int(row) % 3 for row in batch.mismatched[:, 0])
    assert rows_of(fixed(every_column(True), [3, 9], (0, 255), Noise(5, 2)).second) == [103, 109]


@pytest.mark.parametrize("paired", [False, True])
def test_columns_go_along_when_a_set_is_divided(paired, monkeypatch, tmp_path):
    data = every_column(paired)
    part = data.subset([7, 2])
    assert part.texts == (data.texts[7], data.texts[2])
    assert part.captions[:, 0, 0].tolist() == [7, 2]
    assert len(part.second) == (2 if paired else M)
    stay, held = data.hold_out(0.25, seed=3)
    assert (len(stay), len(held)) == (9, 3)
    seconds = [set(rows_of(torch.from_numpy(p.second.copy()))) for p in (stay, held)]
    assert not seconds[0] & seconds[1]
    assert len(seconds[0] | seconds[1]) == (N if paired else M)
    # From a map into a map: the same content has the same fingerprint.
    np.save(tmp_path / "second.npy", data.second)
    np.save(tmp_path / "images.npy", data.images)
    mapped = replace(
        data,
        images=np.load(tmp_path / "images.npy", mmap_mode="r"),
        second=np.load(tmp_path / "second.npy", mmap_mode="r"),
    )
    monkeypatch.setattr(module, "_IN_MEMORY", 8)
    again = mapped.hold_out(0.25, seed=3)[0]
    assert isinstance(again.images, np.memmap)
    assert isinstance(again.second, np.memmap)
    assert again.fingerprint == stay.fingerprint
    # Another set of as many images, divided by the same seed, gets its own and not these.
    np.save(tmp_path / "other.npy", 255 - data.images)
    other = replace(
        mapped.with_columns(),
        images=np.load(tmp_path / "other.npy", mmap_mode="r"),
        fingerprint="x",
    )
    assert np.array_equal(other.hold_out(0.25, seed=3)[0].images, 255 - stay.images)


def test_every_column_counts_for_the_fingerprint():
    data = every_column()
    texts = [list(several) for several in data.texts]
    texts[5][1] += "."
    second, captions = data.second.copy(), data.captions.copy()
    second[0, 0, 0, 0] ^= 1
    captions[3, 1, 2] += 1
    columns = {"second": data.second, "captions": data.captions, "texts": data.texts}
    plain = DataSet.of("x", data.images, data.labels, data.classes)
    variants = [
        plain,
        data,
        *(
            plain.with_columns(
                **(columns | {"second": second}),
            )
            for _ in [0]
        ),
        plain.with_columns(**(columns | {"captions": captions})),
        plain.with_columns(**(columns | {"texts": texts})),
        every_column(paired=True),
    ]
    prints = [variant.fingerprint for variant in variants]
    assert len(set(prints)) == len(variants)
    assert plain.with_columns(**columns).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"second": np.zeros((3, 1, 2, 2))}, "need uint8"),
        ({"second": np.zeros((3, 1, 2, 2), np.uint8), "paired": True}, "as many partners"),
        ({"paired": True}, "as many partners"),
        ({"captions": np.zeros((N, 4), np.float32)}, "captions"),
        ({"captions": np.zeros((3, 1, 4), np.float32)}, "captions"),
        ({"texts": [["a"]]}, "texts of 1"),
    ],
)
def test_columns_that_do_not_fit(columns, complaint):
    images = np.zeros((N, 1, 2, 2), np.uint8)
    with pytest.raises(ValueError, match=complaint):
        DataSet.of("x", images, **({"texts": [["a"]] * N} | columns))


def places(count: int, side: int) -> np.ndarray:
    """Images whose three channels say their row, their column and their number."""
    images = np.empty((count, 3, side, side), np.uint8)
    images[:, 0] = np.arange(side)[:, None]
    images[:, 1] = np.arange(side)
    images[:, 2] = np.arange(count)[:, None, None]
    return images


def with_wide(paired: bool) -> DataSet:
    """Images of 16 px and, larger, of 18."""
    made = [
        DataSet.of("x", places(N, side)).with_columns(places(N, side), paired) for side in (16, 18)
    ]
    return replace(made[0], wide=made[1])


def cuts(images: torch.Tensor) -> list[tuple[int, int, int, bool]]:
    """Number, top, left and whether it is mirrored, of each image; all of it is one cut."""
    found = []
    for image in images.round().int().numpy():
        mirrored = bool(image[1, 0, 0] > image[1, 0, -1])
        image = image[..., ::-1] if mirrored else image
        top, left = int(image[0, 0, 0]), int(image[1, 0, 0])
        assert (image[0] == np.arange(top, top + 16)[:, None]).all()
        assert (image[1] == np.arange(left, left + 16)).all()
        found.append((int(image[2, 0, 0]), top, left, mirrored))
    return found


@pytest.mark.parametrize("paired", [False, True])
def test_images_are_cut_at_a_place_of_their_own(paired):
    data = with_wide(paired)
    first, second = [], []
    made = stream(data, batch=60, crop=True, flip=True)
    for step in range(30):
        batch = made.take("p", step, 0, 0)
        assert batch.images.shape == batch.second.shape == (60, 3, 16, 16)
        first += cuts(batch.images)
        second += cuts(batch.second)
    assert (first == second) == paired
    for cut in (first, second):
        # Nine places, mirrored or not: each as often as the others, within five deviations.
        counts = np.bincount([(y * 3 + x) * 2 + flip for _, y, x, flip in cut], minlength=18)
        assert (abs(counts - 100) < 5 * 100**0.5).all()
    if not paired:  # neither place nor mirroring of the one tells those of the other
        same = [a[1:] == b[1:] for a, b in zip(first, second, strict=True)]
        assert abs(sum(same) - 100) < 50


def test_a_cut_is_a_function_of_the_position():
    data = with_wide(False)
    whole = stream(data, crop=True).take("p", 3, 0, 0)
    halves = [stream(data, rank=rank, size=2, crop=True).take("p", 3, 0, 0) for rank in (0, 1)]
    for name in ("images", "second"):
        assert torch.equal(torch.cat([getattr(h, name) for h in halves]), getattr(whole, name))
    # The order of the images is that without cuts.
    plain = stream(data).take("p", 3, 0, 0)
    assert torch.equal(plain.images[:, 2, 0, 0], whole.images[:, 2, 0, 0])
    # Rows that are named are never cut.
    batch = fixed(data, [3], (0.0, 255.0), Noise(0, 1))
    assert torch.equal(batch.images[0].round().byte(), torch.from_numpy(data.images[3]))
    with pytest.raises(ValueError, match="there are none"):
        stream(replace(data, wide=None), crop=True)


@pytest.mark.parametrize("paired", [False, True])
def test_larger_images_go_along_when_a_set_is_divided(paired):
    for part in (*with_wide(paired).hold_out(0.25, seed=3), with_wide(paired).subset([7, 2])):
        for own, wide in ((part.images, part.wide.images), (part.second, part.wide.second)):
            assert own[:, 2, 0, 0].tolist() == wide[:, 2, 0, 0].tolist()
            assert wide.shape[2:] == (18, 18)


def test_sizes_of_larger_images():
    """Those of the papers, and one pixel more where there is not that many."""
    assert [larger(size) for size in (256, 128, 64, 16, 4)] == [286, 143, 72, 18, 5]
