"""Which images a run was trained on, and where they are now: known by content, not by name.

``run.json`` keeps the fingerprint of a run's training images. A recipe names them as they were
named when it was trained, so a folder may have moved since, and another may bear its name. So they
are looked for under the recipe's name and where they lay as seen from the run, and what is found
there is taken for the run's own only where the fingerprint says so.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

from naqsh import data
from naqsh.captions import encoder as encoders
from naqsh.captions.encoder import TextEncoder
from naqsh.core.errors import NaqshError
from naqsh.data.points import only_for_images
from naqsh.io import places
from naqsh.io.foreign import read_json
from naqsh.io.values import MISFIT
from naqsh.recipes.recipe import Recipe
from naqsh.runs.folder import RunFolder

Split = Literal["train", "test"]


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run's folder says of the images that it was trained on.

    Attributes:
        fingerprint: of the training images, see :class:`naqsh.data.DataSet`; "" if unknown.
        count: how many there were.
        place: the path as seen from the run's folder; "" for a named set.
        encoder: digest of what makes embeddings of captions; "" where nothing does.
    """

    fingerprint: str = ""
    count: int = 0
    place: str = ""
    encoder: str = ""


class Found(NamedTuple):
    """The images that a run is measured against.

    Attributes:
        images: the data set, in the run's size and channels.
        note: what a reader of the result has to know; None where they are the run's own.
        recipe: the run's, with the name under which they were found.
    """

    images: "data.DataSet"
    note: str | None
    recipe: Recipe


def load(
    recipe: Recipe,
    split: Split,
    home: Path | str | None = None,
    encoder: TextEncoder | None = None,
) -> "data.DataSet":
    """A recipe's images, brought to its size and channels.

    Embeddings of captions are those of `encoder`, where a run has one; else of a new one.

    Where the set has no test split of its own and ``data.holdout`` is above 0, ``"test"`` gives the
    images held out and ``"train"`` the others.
    """
    found = data.load(
        recipe.data.name,
        split=split,
        size=recipe.data.size,
        channels=recipe.data.channels,
        home=Path(home) if home else None,
        holdout=recipe.data.holdout,
        holdout_seed=recipe.data.holdout_seed,
        key=recipe.data.key,
        labels=recipe.data.labels,
        range=recipe.data.range,
        good=recipe.data.good,
        skip_broken=recipe.data.skip_broken,
        paired=recipe.data.paired,
        second=recipe.data.second,
        crop=recipe.data.crop and split == "train",
        text=recipe.data.text,
        text_size=recipe.data.text_size,
        text_model=recipe.data.text_model,
        encoder=encoder,
    )
    if found.extent:
        only_for_images(found.name, flip=recipe.data.flip)
    return found


def find(
    recipe: Recipe,
    folder: RunFolder,
    split: Split,
    given: str | None = None,
    home: Path | str | None = None,
) -> Found:
    """A run's images of one split, wherever they are now.

    Args:
        recipe: the run's.
        folder: the run's.
        split: ``train`` or ``test``. Also for the test images it is the training images that say
            whether the set is the run's own.
        given: a name, folder or file to take them from; by default they are looked for.
        home: where named sets are looked for first.

    Raises:
        NaqshError: they are not found, or, where none were `given`, those found are others.
    """
    here, train, own = search(recipe, folder, given, home)
    note = None
    if own is None:
        note = f"{folder.named} does not say which images it was trained on"
    elif not own:
        note = _differ(train, folder)
        if given is None:
            name = recipe.data.name
            raise NaqshError(f"{note}; give --data {name} to measure against them all the same")
    if split == "test":
        return Found(load(here, split, home, train.encoder), note, here)
    return Found(train, note, here)


def resume(
    recipe: Recipe, folder: RunFolder, given: str | None, home: Path | str | None = None
) -> Found:
    """The training images of a run that is resumed; raises NaqshError where they are others."""
    here, train, own = search(recipe, folder, given, home)
    if own is False:
        raise NaqshError(f"{_differ(train, folder)}; give another --out to start a new run")
    return Found(train, None, here)


def search(
    recipe: Recipe, folder: RunFolder, given: str | None, home: Path | str | None
) -> tuple[Recipe, "data.DataSet", bool | None]:
    """The training images of the first place that has the run's own, else those of the first.

    Returns:
        the recipe with the name under which they were found, the images, and whether they are the
        run's own; None where the run does not say.
    """
    origin, text = read(folder), None
    if recipe.data.text != "none" and os.path.lexists(folder.text):
        text = encoder(folder)
    first: tuple[Recipe, data.DataSet] | None = None
    for name in [given] if given else _places(recipe, folder, origin):
        here = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, name=name))
        train = load(here, "train", home, text)
        if train.fingerprint == origin.fingerprint:
            return here, train, True
        first = first or (here, train)
    if first is None:
        images = f" ({origin.count:,} images)" if origin.count else ""
        raise NaqshError(
            f"{folder.named} was trained on {recipe.data.name}{images}; it is not here: give "
            "--data with where these images are now"
        )
    return *first, False if origin.fingerprint else None


def _differ(images: "data.DataSet", folder: RunFolder) -> str:
    begun, here = read(folder).count, len(images)
    counts = f" ({begun:,}, here {here:,})" if begun != here else ""
    return f"{folder.named} was trained on other images than {images.name} has{counts}"


def read(folder: RunFolder) -> Origin:
    """What a run's folder says of its images; nothing where there is no run yet.

    Raises:
        NaqshError: the folder's ``run.json`` is damaged.
    """
    if not folder.about.exists():
        return Origin()
    try:
        told = read_json(folder.about)["data"]
        fingerprint, place = told["fingerprint"], told.get("place", "")
        text = told.get("encoder", "")
        if not all(isinstance(value, str) for value in (fingerprint, place, text)):
            raise TypeError("not a text")
        return Origin(fingerprint, int(told.get("count", 0)), place, text)
    except MISFIT as error:
        raise NaqshError(f"{folder.about} is damaged: it names no data") from error


def encoder(folder: RunFolder) -> TextEncoder:
    """What makes embeddings of captions for a run.

    Raises:
        NaqshError: the run has none, or the file is damaged or of another run.
    """
    if not os.path.lexists(folder.text):
        raise NaqshError(
            f"{folder.named} has no {folder.text.name}, which makes embeddings of sentences: only "
            "runs on captions have it, and a file of weights alone does not"
        )
    found = encoders.read(folder.text)
    if (told := read(folder).encoder) and told != encoders.digest(found):
        raise NaqshError(f"{folder.text} is of another run: its digest is not that in run.json")
    return found


def describe(images: "data.DataSet", name: str, folder: RunFolder) -> dict[str, Any]:
    """What ``run.json`` keeps of a run's images, found under `name`; :func:`read` reads it."""
    return {
        "name": images.name,
        "fingerprint": images.fingerprint,
        "count": len(images),
        "shape": list(images.shape),
        "classes": list(images.classes),
        "notes": list(images.notes),
        "place": _place(name, folder),
        "domains": images.domains,
        "second": 0 if images.second is None else len(images.second),
        "encoder": "" if images.encoder is None else encoders.digest(images.encoder),
    }


def _place(name: str, folder: RunFolder) -> str:
    """Where a folder or file lies as seen from the run; "" for a set of the catalogue.

    Not the whole path, which would tell whoever is given the run about its owner's disk.
    """
    if name in data.CATALOG:
        return ""
    path = places.expanded(name).resolve()
    try:
        return Path(os.path.relpath(path, folder.path.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return str(path)


def _places(recipe: Recipe, folder: RunFolder, origin: Origin) -> list[str]:
    """The names under which a run's images may be found; none where none of them is there."""
    name = recipe.data.name
    if name in data.CATALOG:
        return [name]
    named = [name]
    if origin.place:
        named.append(os.path.normpath(folder.named.resolve() / origin.place))
    named.append(str(folder.named.resolve().parent / Path(name).name))
    there: dict[Path, str] = {}
    for place in named:
        path = places.expanded(place)
        if path.exists():
            there.setdefault(path.resolve(), place)
    return list(there.values())
