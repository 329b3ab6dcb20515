"""Ground truth: masks are found wherever they lie and read as they are meant, or refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from naqsh.core.errors import NaqshError
from naqsh.data import listing, masks

SIDE = 24
FAULT = np.zeros((SIDE, SIDE), np.uint8)
FAULT[4:14, 6:18] = 1


def of_values(*values: int) -> Image.Image:
    """The fault in stripes of these values."""
    level = np.array(values, np.uint8)[np.arange(SIDE) % len(values)]
    return Image.fromarray(FAULT * level[None])


def palette(colours: list[int], fault: int = 1, ground: int = 0) -> Image.Image:
    image = Image.fromarray(np.where(FAULT > 0, fault, ground).astype(np.uint8))
    image.putpalette(colours)
    return image


def transparent(mode: str, colour: tuple[int, ...]) -> Image.Image:
    image = Image.new(mode, (SIDE, SIDE), (*[0] * (len(colour) - 1), 0))
    image.paste(colour, (6, 4, 18, 14))
    return image


DARK = [0, 0, 0, 128, 0, 0]
MEANT = {
    "255": of_values(255),
    "0 and 1": of_values(1),
    "labels": of_values(1, 2, 3),
    "below 255": of_values(249),
    "below half": of_values(100),
    "ignore label": of_values(1, 255),
    "bits": Image.fromarray(FAULT > 0),
    "16 bits": Image.fromarray(FAULT.astype(np.uint16) * 65535),
    "16 bits, 0 and 1": Image.fromarray(FAULT.astype(np.uint16)),
    "32 bits": Image.fromarray(FAULT.astype(np.int32)),
    "floats": Image.fromarray(FAULT.astype(np.float32)),
    "dark palette": palette(DARK),
    "palette, black last": palette([200, 0, 0, 0, 0, 0], fault=0, ground=1),
    "palette without black": palette([0, 0, 90, 200, 0, 0]),
    "grey palette": palette([0, 0, 0, 255, 255, 255]),
    "colour": Image.fromarray(np.stack([FAULT * 0, FAULT * 90, FAULT * 0], -1)),
    "colour on transparent": transparent("RGBA", (255, 0, 0, 255)),
    "black on transparent": transparent("RGBA", (0, 0, 0, 255)),
    "grey and opaque": of_values(255).convert("LA"),
    "soft edges": of_values(255).filter(ImageFilter.GaussianBlur(0.6)),
}


def folder(tmp_path: Path, masks_of: dict[str, Image.Image]) -> Path:
    """Three cracked and three good images in MVTec's layout, with masks of these names."""
    random = np.random.default_rng(0)
    for place in ("train/good", "test/good", "test/crack"):
        for number in range(3):
            path = tmp_path / f"in/{place}/{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (SIDE, SIDE), np.uint8)).save(path)
    for name, mask in masks_of.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mask.save(path)
    return tmp_path / "in"


def read(place: Path, size: tuple[int, int] = (SIDE, SIDE)) -> masks.Masks:
    found = listing.files(place, "any", least=1, masks=True)
    good = [file.parent.name == "good" for file in found.files]
    assert len(good) == 6
    return masks.read(found.files, good, found.truth, size)


@pytest.mark.parametrize("meaning", MEANT)
@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "gif", "webp"])
def test_values(tmp_path: Path, meaning: str, ending: str) -> None:
    mask = MEANT[meaning]
    path = tmp_path / f"mask.{ending}"
    try:
        mask.save(path, **({"lossless": True} if ending == "webp" else {}))
    except (OSError, ValueError):
        pytest.skip(f"{ending} holds no {mask.mode}")
    if meaning == "palette without black" and ending == "webp":
        with pytest.raises(NaqshError, match="none is 0 or black"):
            masks.faulty(path)
        return
    with Image.open(path) as kept:
        if kept.mode not in (mask.mode, "RGB", "RGBA", "P", "L") or (
            mask.mode in ("I", "F", "I;16", "LA", "RGBA") and kept.mode != mask.mode
        ):
            pytest.skip(f"{ending} keeps no {mask.mode}")
    assert np.array_equal(masks.faulty(path), FAULT > 0)


@pytest.mark.parametrize("quality", [60, 90])
def test_jpeg(tmp_path: Path, quality: int) -> None:
    path = tmp_path / "mask.jpg"
    of_values(255).save(path, quality=quality)
    assert (masks.faulty(path) != (FAULT > 0)).mean() < 0.01


def test_what_cannot_be_understood_is_refused_by_name(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))
    regions = np.zeros((SIDE, SIDE), np.uint8)
    regions[:8], regions[8:16] = 255, 120
    for name, mask in (
        ("ramp.png", Image.fromarray(ramp)),
        ("regions.jpg", Image.fromarray(regions)),
        ("nan.tif", Image.fromarray(np.full((SIDE, SIDE), np.nan, np.float32))),
    ):
        mask.save(tmp_path / name)
        with pytest.raises(NaqshError, match=f"mask .*{name} has"):
            masks.faulty(tmp_path / name)


def test_inverted_masks_are_refused(tmp_path: Path) -> None:
    mask = Image.fromarray((1 - FAULT) * 255)
    place = folder(tmp_path, {f"ground_truth/crack/00{n}_mask.png": mask for n in range(3)})
    with pytest.raises(NaqshError, match="masks seem inverted"):
        read(place)


NAMES = [
    "ground_truth/crack/{}_mask.png",
    "ground_truth/crack/{}.png",
    "ground_truth/crack/{}_mask.bmp",
    "ground_truth/crack/{}_MASK.TIF",
    "groundtruth/crack/{}.png",
    "Ground Truth/Crack/{}_gt.png",
    "GT/crack/{}.png",
    "masks/crack/mask_{}.png",
    "anything/crack/{}-mask.png",
    "ground_truth/test/crack/{}_mask.png",
    "ground_truth/test/crack/deep/{}.png",
    "ground_truth/{}_mask.png",
    "labels/{}.gif",
    "ground_truth/crack/{}/000.png",
    "test/crack/gt/{}.png",
    "test/crack/{}_mask.png",
]


@pytest.mark.parametrize("form", NAMES)
def test_masks_are_found_by_name(tmp_path: Path, form: str) -> None:
    mask = MEANT["0 and 1"]
    found = read(folder(tmp_path, {form.format(f"00{n}"): mask for n in range(3)}))
    assert found.known.all()
    assert found.notes == ()
    assert found.faulty.any((1, 2)).tolist() == [False] * 3 + [True] * 3
    assert np.array_equal(found.faulty[4], FAULT > 0)


def test_several_masks_of_an_image_are_joined(tmp_path: Path) -> None:
    halves = []
    for rows in (slice(0, 9), slice(9, None)):
        half = np.zeros_like(FAULT)
        half[rows] = FAULT[rows]
        halves.append(Image.fromarray(half * 200))
    where = {f"ground_truth/crack/001/{n}.png": half for n, half in enumerate(halves)}
    where |= {f"ground_truth/crack/002/{n}.png": half for n, half in enumerate(halves)}
    found = read(folder(tmp_path, where))
    assert np.array_equal(found.faulty[4], FAULT > 0)
    assert found.known.tolist() == [True] * 3 + [False, True, True]


@pytest.mark.parametrize("have", [0, 1, 2])
def test_missing_masks_are_counted(tmp_path: Path, have: int) -> None:
    found = read(
        folder(tmp_path, {f"ground_truth/crack/00{n}_mask.png": MEANT["255"] for n in range(have)})
    )
    assert found.known.sum() == 3 + have
    assert found.notes[0].startswith(f"masks of {have} of 3 faulty images")


def test_an_empty_mask_of_a_faulty_image_is_not_taken(tmp_path: Path) -> None:
    where = {f"ground_truth/crack/00{n}.png": MEANT["255"] for n in range(2)}
    where["ground_truth/crack/002.png"] = Image.new("L", (SIDE, SIDE))
    found = read(folder(tmp_path, where))
    assert found.known.tolist() == [True] * 5 + [False]
    assert "1 masks of faulty images are empty" in found.notes[1]


def test_a_fault_smaller_than_a_pixel_is_kept(tmp_path: Path) -> None:
    point = np.zeros((SIDE, SIDE), np.uint8)
    point[5, 9] = 1
    where = {f"ground_truth/crack/00{n}.png": Image.fromarray(point) for n in range(3)}
    found = read(folder(tmp_path, where), (6, 6))
    assert found.faulty[3:].sum((1, 2)).tolist() == [1, 1, 1]
    assert found.faulty[3, 1, 2]
    assert "3 faults cover less than half of any pixel at 6x6" in found.notes[0]


def test_a_fault_outside_of_the_square_is_not_known(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, :3] = 255
    image = picture("in/test/crack/0.png", (24, 8))
    mask = tmp_path / "0_mask.png"
    Image.fromarray(wide).save(mask)
    found = masks.read([image], [False], [mask], (8, 8))
    assert found.known.tolist() == [False]
    assert "outside of the central square" in found.notes[1]


def test_one_mask_for_two_kinds_is_refused(tmp_path: Path, picture: Callable[..., Path]) -> None:
    images = [picture(f"in/test/{kind}/0.png") for kind in ("crack", "hole")]
    truth = [picture(f"in/truth/{place}/0.png") for place in ("x", "y")]
    with pytest.raises(NaqshError, match="may both be the mask of"):
        masks.read(images, [False, False], truth, (8, 8))


def test_masks_turned_by_a_camera(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / "0.png", exif=exif)
    mask = np.zeros((8, 12), np.uint8)
    mask[0, 0] = 255  # turned clockwise: the upper right corner
    Image.fromarray(mask).save(tmp_path / "0_mask.png", exif=exif)
    found = masks.read([tmp_path / "0.png"], [False], [tmp_path / "0_mask.png"], (12, 8))
    assert np.argwhere(found.faulty[0]).tolist() == [[0, 7]]
