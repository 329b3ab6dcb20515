import subprocess
import sys

import numpy as np
import pytest

from naqsh.core.errors import NaqshError
from naqsh.data import cache, load, notes
from naqsh.data.fingerprint import fingerprint_of
from naqsh.io import places

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 1, 3, 4), np.uint8)
LABELS = np.arange(10)


def content(labels=LABELS):
    return cache.Content(IMAGES.shape, labels, iter([IMAGES[:4], IMAGES[4:]]))


@pytest.mark.parametrize("labels", [LABELS, None])
def test_what_is_stored_comes_back(labels):
    stored = cache.pictures("x", "1", lambda: content(labels))
    assert np.array_equal(stored.images, IMAGES)
    assert (stored.labels is None) == (labels is None)
    assert stored.fingerprint == fingerprint_of(IMAGES, labels)
    again = cache.pictures("x", "1", lambda: pytest.fail("built again"))
    assert again.fingerprint == stored.fingerprint


def test_a_failed_build_leaves_nothing(cache):
    def chunks():
        yield IMAGES[:4]
        raise NaqshError("image 5 is bad")

    from naqsh.data.cache import Content, pictures

    with pytest.raises(NaqshError, match="image 5 is bad"):
        pictures("x", "1", lambda: Content(IMAGES.shape, None, chunks()))
    assert [path.name for path in (cache / "pictures").iterdir()] in ([], [".x.lock"])


def floats(path):
    np.save(path, np.load(path).astype(np.float64))


def shorter(path):
    np.save(path, np.load(path)[:-1])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 4  # a value of the last row, or the last word of the JSON
    path.write_bytes(content)


def nested(path):
    path.write_text("[" * 100_000)


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "flipped": flipped,
}


@pytest.mark.parametrize(
    ("damaged", "how"),
    [
        *((name, how) for name in ("images.npy", "labels.npy", "meta.json") for how in DAMAGE),
        *((name, how) for name in ("images.npy", "labels.npy") for how in (floats, shorter)),
        ("meta.json", nested),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_damaged_entry_is_built_again(damaged, how, monkeypatch, caplog):
    cache.pictures("x", "1", content)
    DAMAGE.get(how, how)(places.cache() / "pictures" / "x-1" / damaged)
    monkeypatch.setattr(cache, "_checked", set())  # as another process
    monkeypatch.setattr(notes, "_said", set())
    stored = cache.pictures("x", "1", content)
    assert np.array_equal(stored.images, IMAGES)
    assert np.array_equal(stored.labels, LABELS)
    assert "x-1 in the cache was damaged" in caplog.text
    monkeypatch.setattr(cache, "_checked", set())
    again = cache.pictures("x", "1", lambda: pytest.fail("built again"))
    assert again.fingerprint == fingerprint_of(IMAGES, LABELS)


def test_an_entry_is_checked_once_a_process(monkeypatch):
    cache.pictures("x", "1", content)
    monkeypatch.setattr(cache, "_digest", lambda *_: pytest.fail("checked again"))
    cache.pictures("x", "1", lambda: pytest.fail("built again"))


def test_what_the_disk_cannot_hold_is_refused_before_it_is_made(monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "free")(IMAGES.size - 1)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    made = cache.Content(IMAGES.shape, None, (pytest.fail("made") for _ in range(1)))
    with pytest.raises(NaqshError, match=r"10 images of 3x4x1 take .* GB.* smaller data\.size"):
        cache.pictures("x", "1", lambda: made)


@pytest.mark.parametrize(
    "wrong",
    [
        cache.Content((11, 1, 3, 4), None, [IMAGES]),
        cache.Content((10, 1, 4, 3), None, [IMAGES]),
        cache.Content(IMAGES.shape, None, [IMAGES.astype(np.int16)]),
    ],
)
def test_content_that_is_not_as_announced(wrong):
    with pytest.raises(ValueError, match=r"need uint8|announced"):
        cache.pictures("x", "1", lambda: wrong)


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "file"))
    with pytest.raises(NaqshError, match=r"cannot be written .* set NAQSH_CACHE"):
        cache.pictures("x", "1", content)


def test_what_a_killed_process_left_is_swept(cache):
    import os

    from naqsh.data.cache import pictures

    old, new = cache / "pictures" / "a-1.part", cache / "pictures" / "b-1.part"
    for part in (old, new):
        part.mkdir(parents=True)
    os.utime(old, (0, 0))
    pictures("x", "1", content)
    assert not old.exists()
    assert new.exists()


def test_processes_that_build_at_once(tmp_path, picture, cache):
    for index in range(40):
        picture(f"set/{index:02}.png", (16, 16), seed=index)
    code = f"from naqsh.data import load; print(load({str(tmp_path / 'set')!r}).fingerprint)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    prints = {process.communicate(timeout=60)[0].strip() for process in started}
    assert prints == {load(str(tmp_path / "set")).fingerprint}
    assert len(list((cache / "pictures").glob("*/images.npy"))) == 1
    assert not list((cache / "pictures").glob("*.part"))


def test_building_at_once_without_a_lock(monkeypatch):
    # As on a file system without locks: another process finishes while this one builds.
    import contextlib

    monkeypatch.setattr(cache, "FileLock", lambda _: contextlib.nullcontext())
    other = []

    def build():
        if not other:
            other.append(True)
            other.append(cache.pictures("x", "1", build))
        return content()

    stored = cache.pictures("x", "1", build)
    assert np.array_equal(stored.images, IMAGES)
    assert np.array_equal(other[1].images, IMAGES)
