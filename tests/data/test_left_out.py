"""What the listing of a folder passes over is counted and said; links; pages; broken files."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from naqsh.core.errors import NaqshError
from naqsh.data import decoding, load, walking

Picture = Callable[..., Path]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with nothing else in it."""
    place = tmp_path / "in"
    place.mkdir()
    return place


def some(picture: Picture, place: str, count: int = 4) -> None:
    for number in range(count):
        picture(f"{place}/{number:02d}.png", seed=number)


@pytest.mark.parametrize(
    ("ending", "form"),
    [("jfif", "JPEG"), ("JFIF", "JPEG"), ("jpe", "JPEG"), ("avif", "AVIF"), ("webp", "WEBP")],
)
def test_endings_that_are_read(tmp_path: Path, picture: Picture, ending: str, form: str) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    some(picture, "in", 2)
    picture(f"in/more.{ending}", format=form)
    found = load(str(tmp_path / "in"))
    assert len(found) == 3
    assert found.notes == ()


@pytest.mark.parametrize("ending", ["xyz", "psd", "heic", "avif", ""])
def test_unknown_endings_are_counted(
    tmp_path: Path, picture: Picture, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tuple(e for e in decoding.SUFFIXES if e not in (".heic", ".avif"))
    monkeypatch.setattr(walking, "SUFFIXES", known)
    monkeypatch.setattr(walking, "MISSING", {".heic": "install x", ".avif": "install x"})
    for number in range(3):
        picture(f"in/{number}.png", seed=number)
        (tmp_path / f"in/other{number}{'.' * bool(ending)}{ending}").write_bytes(b"?")
    (note,) = load(str(tmp_path / "in")).notes
    assert "3 files of no kind that is read here left out" in note
    assert (f".{ending} 3" if ending else "no ending 3") in note
    assert ("install x" in note) == (ending in ("heic", "avif"))


def test_a_folder_of_unknown_endings_alone(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.xyz").write_bytes(b"?")
    with pytest.raises(NaqshError, match=r"has no image.*3 files of no kind .*\.xyz 3"):
        load(str(tmp_path))


def test_heic_is_read_by_its_plug_in(tmp_path: Path, picture: Picture) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    some(picture, "in", 2)
    path = picture("in/more.heic", (16, 16), quality=90)
    path.with_suffix(".jpg").write_bytes(path.read_bytes())  # as phones and mails name them
    assert len(load(str(tmp_path / "in"), size=8)) == 4


def test_hidden_images_are_counted_and_system_files_are_not(
    tmp_path: Path, picture: Picture
) -> None:
    some(picture, "in")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._00.png"):
        (tmp_path / "in" / name).write_bytes(b"?")
    assert load(str(tmp_path / "in")).notes == ()
    picture("in/.a.png")
    assert load(str(tmp_path / "in")).notes == ("in: 1 hidden image left out (.a.png)",)


def test_links_to_folders_are_followed(tmp_path: Path, picture: Picture) -> None:
    some(picture, "in/a")
    some(picture, "in/b")
    some(picture, "more/deep", 8)
    (tmp_path / "in/a/part2").symlink_to(tmp_path / "more")
    (tmp_path / "in/c").symlink_to(tmp_path / "more" / "deep")
    found = load(str(tmp_path / "in"))
    assert len(found) == 16  # once, though two links lead there
    assert found.notes[0].startswith("in: 1 link to folders")


def test_links_in_circles_end(tmp_path: Path, picture: Picture) -> None:
    some(picture, "in/a")
    some(picture, "in/b")
    some(picture, "beside")
    for name, target in (("a/up", ".."), ("a/self", "."), ("b/over", "../../in/a"), ("top", "..")):
        (tmp_path / "in" / name).symlink_to(target)
    (tmp_path / "in/a/nowhere").symlink_to("missing")
    found = load(str(tmp_path / "in"))
    assert len(found) == 8  # nothing twice, and nothing from above
    assert found.notes[-1].startswith("in: 4 links to folders")


def test_a_link_does_not_bring_test_images_into_training(tmp_path: Path, picture: Picture) -> None:
    some(picture, "in/train/a")
    some(picture, "in/test/a", 3)
    (tmp_path / "in/train/b").symlink_to("../test/a")
    found = load(str(tmp_path / "in"))
    assert len(found) == 4
    assert found.classes == ("a",)


def test_a_link_to_a_test_image_is_not_trained_on(tmp_path: Path, picture: Picture) -> None:
    some(picture, "in/train")
    some(picture, "in/val", 3)
    some(picture, "else", 1)
    (tmp_path / "in/train/x.png").symlink_to("../val/00.png")
    (tmp_path / "in/train/y.png").symlink_to("../../else/00.png")
    found = load(str(tmp_path / "in"))
    assert len(found) == 5
    assert found.notes[1:] == ("in: 1 links to images of the other split left out",)
    assert len(load(str(tmp_path / "in"), split="test")) == 3


def test_images_in_folders_for_masks_are_said(tmp_path: Path, picture: Picture) -> None:
    some(picture, "in/Images")
    some(picture, "in/Masks")
    assert load(str(tmp_path / "in")).notes == (
        "in: what is in Masks is taken as images; move masks away",
    )


def test_a_folder_that_is_a_link_itself(tmp_path: Path, picture: Picture) -> None:
    some(picture, "real/train/a")
    some(picture, "real/test/a", 2)
    (tmp_path / "in").symlink_to(tmp_path / "real")
    (tmp_path / "made").mkdir()
    for split in ("train", "test"):
        (tmp_path / "made" / split).symlink_to(tmp_path / "real" / split)
    for name in ("in", "made"):
        assert len(load(str(tmp_path / name))) == 4
        assert len(load(str(tmp_path / name), split="test")) == 2


def test_folders_that_cannot_be_read_are_named(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(picture, "in/a")
    some(picture, "in/closed")
    scan = os.scandir

    def refuse(place: Path | int) -> object:  # a number where shutil removes folders
        if not isinstance(place, int) and Path(place).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    found = load(str(tmp_path / "in"))
    assert len(found) == 4
    assert found.notes == (
        "in: closed cannot be read (Permission denied): what it holds is left out",
    )
    with pytest.raises(NaqshError, match=r"closed cannot be read \(Permission denied\)"):
        load(str(tmp_path / "in" / "closed"))


@pytest.mark.parametrize("ending", ["tif", "gif", "png", "webp"])
def test_further_pages_are_said(images: Path, ending: str) -> None:
    pages = [Image.new("L", (16, 16), level) for level in (10, 200, 90)]
    for number in range(3):
        more = {"save_all": True, "append_images": pages[1:]} if number else {}
        pages[0].save(images / f"{number}.{ending}", **more)
    notes = load(str(images)).notes
    assert any("2 of 3 files hold further pages or frames" in note for note in notes)
    # Also when they come from the cache.
    assert load(str(images)).notes == notes


def broken(tmp_path: Path, picture: Picture) -> None:
    """Ten good images, and of four kinds broken ones between them."""
    some(picture, "in", 10)
    (tmp_path / "in/000.png").write_bytes(b"not an image")
    (tmp_path / "in/030.png").write_bytes(b"")
    whole = (tmp_path / "in/05.png").read_bytes()
    (tmp_path / "in/050.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in/99.png").symlink_to("nowhere")


def test_all_broken_files_are_named_at_once(tmp_path: Path, picture: Picture) -> None:
    broken(tmp_path, picture)
    with pytest.raises(NaqshError) as told:
        load(str(tmp_path / "in"))
    line = str(told.value)
    assert line.startswith("4 images cannot be read: ")
    assert all(
        name in line for name in ("000.png", "030.png", "050.png", "99.png", "--skip-broken")
    )
    assert "\n" not in line


def test_broken_files_are_skipped_and_counted(tmp_path: Path, picture: Picture) -> None:
    broken(tmp_path, picture)
    source = str(tmp_path / "in")
    for _ in range(2):  # decoded, then from the cache
        found = load(source, skip_broken=True)
        assert len(found) == 10
        assert found.notes == ("in: 4 broken images skipped (000.png)",)
    with pytest.raises(NaqshError, match="4 images cannot be read"):
        load(source)  # also where the cache has the others
    for name in ("000.png", "030.png", "050.png", "99.png"):
        (tmp_path / "in" / name).unlink()
    assert load(source).fingerprint == found.fingerprint


def test_labels_of_skipped_files_go_too(tmp_path: Path, picture: Picture) -> None:
    some(picture, "in/a")
    some(picture, "in/b", 3)
    (tmp_path / "in/a/000.png").write_bytes(b"?")
    found = load(str(tmp_path / "in"), skip_broken=True)
    assert found.labels.tolist() == [0] * 4 + [1] * 3


def test_nothing_is_left_after_skipping(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"?")
    with pytest.raises(NaqshError, match="3 images cannot be read"):
        load(str(tmp_path), skip_broken=True)


@pytest.mark.parametrize("name", ["²", "三" * 80, "a\0b", "گربه ها", "x" * 300, " ", "*", "[a]"])
def test_strange_names_of_folders(tmp_path: Path, picture: Picture, name: str) -> None:
    place = f"in/{name}"
    try:
        some(picture, f"{place}/a")
    except (OSError, ValueError):
        with pytest.raises(NaqshError) as told:
            load(str(tmp_path / place))
        assert "\n" not in str(told.value)
        return
    assert load(str(tmp_path / place)).classes == ("a",)
    assert load(str(tmp_path / "in")).classes == (name,)


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_names_that_are_no_text(tmp_path: Path, picture: Picture) -> None:
    some(picture, "in/b")
    place = os.fsencode(tmp_path / "in") + b"/\xe3\xd1"
    os.mkdir(place)  # noqa: PTH102
    for number in range(3):
        os.link(tmp_path / f"in/b/{number:02d}.png", place + b"/%d.png" % number)
    assert len(load(str(tmp_path / "in"))) == 7


ORIENTED = ["tif", "png", "jpg", "webp", "avif", "heic"]


@pytest.mark.parametrize("ending", ORIENTED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_header_and_decoder_agree_on_orientation(
    images: Path, ending: str, orientation: int
) -> None:
    if f".{ending}" not in decoding.SUFFIXES:
        pytest.skip(f"no {ending} here")
    if ending == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8))
    for number in range(2):
        exif = Image.Exif()  # anew, as saving an AVIF takes the orientation out
        exif[0x0112] = orientation
        image.save(images / f"{number}.{ending}", exif=exif)
    header = decoding.header(images / f"0.{ending}")
    decoded = decoding.decode(images / f"0.{ending}", "0")
    # HEIF turns by a box of its own and ignores this tag.
    size = (24, 16) if orientation < 5 or ending == "heic" else (16, 24)
    assert (header.width, header.height) == size
    assert decoded.pixels.shape == (3, size[1], size[0])
    # Upright ones of the same true size beside them.
    Image.new("RGB", size, "white").save(images / "upright.png")
    assert load(str(images)).shape == (3, size[1], size[0])


def deep(images: Path, largest: int, ending: str, colours: bool) -> str:
    for number in range(3):
        ramp = np.tile(np.linspace(0, largest, 16), (16, 1)).round().astype(np.uint16)
        ramp = np.roll(ramp, number, 1)  # equal images would be noted
        if not colours:
            Image.fromarray(ramp).save(images / f"{number}.{ending}")
        else:
            (images / f"{number}.png").write_bytes(_png16(np.stack([ramp] * 3, -1)))
    return str(images)


def _png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a colour, which Pillow cannot write; each row filtered by its left one."""
    import struct
    import zlib

    rows = values.astype(">u2").view(np.uint8).reshape(len(values), -1).astype(np.int64)
    left = np.pad(rows, ((0, 0), (6, 0)))[:, :-6]
    body = b"".join(b"\1" + row.tobytes() for row in ((rows - left) % 256).astype(np.uint8))

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("ending", "colours"), [("png", False), ("tif", False), ("png", True)], ids=str
)
def test_values_in_a_part_of_the_range_are_said_and_spread(
    images: Path, ending: str, colours: bool
) -> None:
    source = deep(images, 4095, ending, colours)
    dark = load(source)
    assert dark.images.max() in (15, 16)
    assert "no image uses more than a quarter of the range" in dark.notes[-1]
    assert "the largest value is 4095 of 65535" in dark.notes[-1]
    assert "--data.range 0,4095" in dark.notes[-1]
    bright = load(source, range=(0, 4095))
    assert bright.notes == ()
    expected = np.tile(np.linspace(0, 4095, 16), (16, 1)).round() * 255 / 4095
    assert np.abs(bright.images[0] - expected[None]).max() <= 0.5 + 1e-9


def test_a_full_range_is_not_said(images: Path) -> None:
    assert load(deep(images, 65535, "png", False)).notes == ()


def test_dark_images_of_eight_bits_are_said(images: Path) -> None:
    for number in range(2):
        Image.new("L", (8, 8), 5 + number).save(images / f"{number}.png")
    assert "the largest value is 6 of 255" in load(str(images)).notes[0]
    assert load(str(images), range=(0, 6)).images.max() == 255


def test_floating_point_with_a_range(images: Path) -> None:
    for number in range(2):
        Image.fromarray(np.full((8, 8), 0.5 * number, np.float32)).save(images / f"{number}.tif")
    with pytest.raises(NaqshError, match=r"floating-point .*--data.range 0,1"):
        load(str(images))
    assert load(str(images), range=(0, 1)).images[1].max() == 128
