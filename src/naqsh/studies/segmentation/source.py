"""Which labelled images a study takes: some to choose from, others to test on.

* ``textured-shapes``: training scenes and test scenes, with the masks that they were rendered with;
* a folder with images and masks (:mod:`naqsh.data.labelled`);
* an inspection set, as `naqsh detect` reads it: the faults' masks; half of its images are chosen
  from and half are tested on.
"""

from pathlib import Path

import numpy as np

from naqsh.core.errors import NaqshError
from naqsh.core.spec import Shape
from naqsh.data import CATALOG, defects, labelled, textured
from naqsh.data.labelled import Labelled
from naqsh.data.sets.mvtec import inspection_folder
from naqsh.io import places
from naqsh.studies.detection.examined import of_path

POOL = 2000
"""Training scenes that labelled ones are drawn from; rendering more would take longer."""

RENDERED = "textured-shapes"


def labelled_images(
    source: str, shape: Shape, home: Path | str | None = None
) -> tuple[Labelled, Labelled]:
    """The images to choose from, and those to test on.

    Args:
        source: a data set's name or a folder.
        shape: (C, H, W) that they are brought to.
        home: where named sets are looked for first.

    Raises:
        NaqshError: there are none, or none with masks.
    """
    channels, height, width = shape
    if height != width:
        raise NaqshError(f"segmentation needs square images, and the run's are {height}x{width}")
    if source == RENDERED:
        if channels != 3:
            raise NaqshError(f"{RENDERED} is in colour, and the run's images are grey")
        test = CATALOG[RENDERED].test
        return _rendered("train", POOL, height), _rendered("test", test, height)
    entry = CATALOG.get(source)
    if entry is not None and entry.reader != "mvtec":
        raise NaqshError(
            f"{source} has no masks; give --data with {RENDERED}, capsule, or a folder with images "
            "and masks"
        )
    home = Path(home) if home else None
    path = inspection_folder(source, home) if entry else places.expanded(source)
    if not path.is_dir():
        raise NaqshError(f"there is no folder {source}; give one with images and masks")
    if labelled.laid_out(path):
        return labelled.read(path, height, channels)
    return _faults(path, source, shape).halves()


def _rendered(split: str, count: int, side: int) -> Labelled:
    images, masks = zip(*textured.render(textured.chances(split, count), side), strict=True)
    return Labelled(
        f"{RENDERED} {split}", np.concatenate(images), np.concatenate(masks), textured.CLASSES
    )


def _faults(path: Path, source: str, shape: Shape) -> Labelled:
    """The images of an inspection set whose faults are known, the good ones among them."""
    found = of_path(path, source, shape, usual=defects.GOOD)
    if found.masks is None:
        raise NaqshError(
            f"{source} has no masks: a folder needs images/ and masks/ with files of equal names, "
            "or faults with masks as MVTec AD has them"
        )
    faulty, known = found.masks
    images, masks = found.images[known], faulty[known].astype(np.uint8)
    return Labelled(found.name, images, masks, ("background", "fault"), found.notes)
