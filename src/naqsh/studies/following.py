"""How well images follow their captions, of scenes that can be read back.

A reader (:mod:`naqsh.metrics.reading`) reads shape, colour, size, place and background off an
image; each is right where it is what the caption says. Of two objects the reader's are matched to
the caption's in the way that agrees better; exchanged ones have the wrong relation and, for the
rest, what they are. What has more or fewer objects than were asked for has the wrong place.

Beside the accuracy stand the ceiling, the reader on real images under their own captions; two
floors, samples under each other's captions and guesses at random; and R-precision: how often the
caption of an image has the highest likelihood by the reader, among itself and 99 of other scenes,
or among itself and all scenes that differ from it in one factor, which are harder.

References:
    R-precision: AttnGAN (Xu et al., 2018), arXiv:1711.10485, where the judge is a model trained
    with the generator; ours is not.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from naqsh.core.abilities import FollowsCaptions
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise, derive
from naqsh.data import pixels, scenes, sentences
from naqsh.data.scenes import FACTORS, Scene
from naqsh.io import png as pictures
from naqsh.metrics import reading
from naqsh.networks.reader import SIDE
from naqsh.runs import captioned, records
from naqsh.runs.trained import Trained

Indices = NDArray[np.int64]
Truths = NDArray[np.bool_]

SAID = ("shape", "colour", "size", "where", "background", "all")
"""What is right or wrong in an image, in the order in which it is told."""

OTHERS = 99
"""Captions of other scenes, among which an image's own has to be the likeliest."""

_NAMES = tuple(FACTORS)
_THINGS = [[_NAMES.index(f"{name}{k}") for name in ("shape", "colour", "size")] for k in (1, 2)]
_WHERE, _BACKGROUND = _NAMES.index("where"), _NAMES.index("background")
_TWO = len(scenes.PLACES)
"""From this value of `where` on there are two objects."""


def measured(
    run: Trained,
    machine: Machine,
    n: int | None,
    data: str | None,
    options: Mapping[str, Any] | None = None,
) -> records.Followed:
    """How well a run's samples follow the captions of test images, one caption of each.

    Args:
        run: whose method follows captions.
        machine: where images are made, and of which seed they are.
        n: captions; all test images' by default.
        data: where the run's data set is now, if it has moved.
        options: of sampling, as :func:`naqsh.runs.sampling.sample_options` takes them.

    Raises:
        NaqshError: the method follows no captions, or they are not of rendered scenes.
    """
    if not isinstance(run.method, FollowsCaptions):
        raise NaqshError(f"{run.recipe.name} follows no captions: there is nothing to read back")
    test = run.images("test", data, machine.data_home).images
    test = test if n is None else test.some(n, machine.seed)
    which = np.arange(len(test)) % len(test.texts[0]) if test.texts else None
    if which is None or test.captions is None:
        raise NaqshError(f"{test.name} has no captions that are sentences")
    said = [several[k] for several, k in zip(test.texts, which, strict=True)]
    asked = scenes_of(said)
    if asked is None:
        raise NaqshError(
            f"the captions of {test.name} are not of rendered scenes, so no reader can tell "
            "whether images follow them; take the data set shapes"
        )
    codes = torch.from_numpy(test.captions[np.arange(len(test)), which])
    place, method = torch.device(machine.device), run.method.to(machine.device)
    assert isinstance(method, FollowsCaptions)
    chosen, parts = captioned.options_of(method, options or {}, run.classes), []
    with torch.inference_mode():
        for first in range(0, len(test), machine.batch):
            some = codes[first : first + machine.batch].to(place)
            noise = Noise(derive(machine.seed, "captions"), len(some), first, place)
            made = method.follow(noise, some, **chosen)[-1]
            parts.append(pictures.to_pixels(made.float().cpu().numpy()))
            machine.progress("captions", first + len(some), len(test))
    return study(np.concatenate(parts), test.images, asked, machine.seed)


def applies(run: Trained) -> bool:
    """Whether a run's captions may be of rendered scenes, as far as its recipe tells."""
    of_scenes = run.recipe.data.name == "shapes" and run.recipe.data.channels != 1
    return of_scenes and isinstance(run.method, FollowsCaptions)


def scenes_of(captions: Iterable[str]) -> list[Scene] | None:
    """The scenes that captions tell; None where one is no caption of a rendered scene."""
    told = [sentences.read(caption) for caption in captions]
    return None if None in told else [one.scene for one in told if one is not None]


def study(
    images: NDArray[np.uint8], real: NDArray[np.uint8], asked: list[Scene], seed: int
) -> records.Followed:
    """How well images follow what was asked for.

    Args:
        images: made ones, uint8 (N, 3, H, H).
        real: renderings of the same scenes, likewise.
        asked: what the caption of each tells.
        seed: of the captions that stand beside.
    """
    reader, rows = reading.load(), table(asked)
    seen, truth = (
        reading.scores(reader, pixels.resize(pixels.recolour(those, 3), SIDE))
        for those in (images, real)
    )
    rng = np.random.default_rng(derive(seed, "captions of others"))
    held_out = np.array([_is_held_out(scene) for scene in asked])
    right = followed(rows, _likeliest(seen))
    parts = {"seen": ~held_out, "held_out": held_out}
    return records.Followed(
        n=len(rows),
        whole=_shares(right, np.ones(len(rows), np.bool_)),
        **{name: _shares(right, of) if of.any() else None for name, of in parts.items()},
        ceiling=_shares(followed(rows, _likeliest(truth)), np.ones(len(rows), np.bool_)),
        shuffled=_shares(
            followed(np.roll(rows, 1, axis=0), _likeliest(seen)), np.ones(len(rows), np.bool_)
        ),
        chance=_chance(rows),
        precision=_precision(seen, rows, rng),
        precision_hard=_precision_hard(seen, rows),
        precision_ceiling=_precision(truth, rows, rng),
        precision_hard_ceiling=_precision_hard(truth, rows),
    )


def told(found: records.Followed) -> str:
    """What was found, in lines for a terminal."""
    head = f"{'captions followed':<24}" + "".join(f"{name:>12}" for name in (*SAID, "n"))
    parts = {
        "samples": found.whole,
        "  seen combinations": found.seen,
        "  held out": found.held_out,
        "real images": found.ceiling,
        "shuffled captions": found.shuffled,
        "chance": found.chance,
    }
    lines = [head]
    for name, shares in parts.items():
        if shares is not None:
            values = "".join(f"{getattr(shares, factor):>12.3f}" for factor in SAID)
            lines.append(f"{name:<24}{values}{shares.n:>12,}")
    hard = f"{found.precision_hard:.3f} (real images {found.precision_hard_ceiling:.3f})"
    if found.precision is not None and found.precision_ceiling is not None:
        easy = f"{found.precision:.3f} (real images {found.precision_ceiling:.3f})"
        lines.append(f"R-precision among {OTHERS} captions of other scenes {easy}")
    lines.append(f"R-precision among all that differ in one factor {hard}")
    return "\n".join(lines)


def table(asked: list[Scene]) -> Indices:
    """Scenes as numbers of values, a column for each of `FACTORS`; -1 where there is no second."""
    told = scenes.told(asked)
    return np.stack([told[name] for name in _NAMES], axis=1)


def followed(asked: Indices, found: Indices) -> dict[str, Truths]:
    """What of the scenes that were asked for was found, of each of `SAID`, shape (N,).

    Args:
        asked: rows of :func:`table`.
        found: likewise, of which a second object counts where `where` has two.
    """
    one, two = (asked[:, columns] for columns in _THINGS)
    first, second = (found[:, columns].copy() for columns in _THINGS)
    second[found[:, _WHERE] < _TWO] = -2  # like nothing that can be asked for
    alone = (two[:, :1] < 0).repeat(3, axis=1)
    straight = np.stack([one == first, (two == second) & ~alone])
    crossed = np.stack([one == second, (two == first) & ~alone])
    turned = crossed.sum((0, 2)) > straight.sum((0, 2))
    of_one, of_two = np.where(turned[None, :, None], crossed, straight)
    right = of_one & (of_two | alone)
    said = {name: right[:, k] for k, name in enumerate(("shape", "colour", "size"))}
    said["where"] = (asked[:, _WHERE] == found[:, _WHERE]) & ~turned
    said["background"] = asked[:, _BACKGROUND] == found[:, _BACKGROUND]
    said["all"] = np.logical_and.reduce(list(said.values()))
    return said


def likelihood(scores: dict[str, reading.Scores], rows: Indices) -> NDArray[np.float64]:
    """The log-likelihood of scenes by what the reader thinks of each image.

    Args:
        scores: of N images.
        rows: M scenes for each, shape (N, M, factors).

    Returns:
        shape (N, M).
    """
    total = np.zeros(rows.shape[:2])
    for number, name in enumerate(_NAMES):
        value = rows[:, :, number]
        own = np.take_along_axis(scores[name], value.clip(0), axis=1)
        total += np.where(value >= 0, own, 0.0)
    return total


def alike(row: Indices) -> Indices:
    """All scenes that differ from one in one factor, shape (M, factors); exchanged objects too."""
    found = []
    for number, (name, values) in enumerate(FACTORS.items()):
        if row[number] < 0:
            continue
        two = row[_WHERE] >= _TWO
        span = range(len(values))
        if name == "where":
            span = range(_TWO, len(values)) if two else range(_TWO)
        for value in span:
            if value != row[number]:
                other = row.copy()
                other[number] = value
                found.append(other)
        if name == "where" and two:
            for value in span:
                other = row.copy()
                other[_THINGS[0] + _THINGS[1]] = row[_THINGS[1] + _THINGS[0]]
                other[number] = value
                found.append(other)
    different = np.unique(np.stack(found), axis=0)
    others: Indices = different[(different != row).any(axis=1)]
    return others


def _likeliest(scores: dict[str, reading.Scores]) -> Indices:
    return np.stack([scores[name].argmax(axis=1) for name in _NAMES], axis=1)


def _is_held_out(scene: Scene) -> bool:
    things = [thing for thing in (scene.first, scene.second) if thing is not None]
    return any((thing.colour, thing.shape) in scenes.HELD_OUT for thing in things)


def _shares(right: dict[str, Truths], of: Truths) -> records.Shares:
    return records.Shares(n=int(of.sum()), **{name: float(right[name][of].mean()) for name in SAID})


def _chance(rows: Indices) -> records.Shares:
    """What guessing every factor evenly comes to, without exchanging objects."""
    share = {name: 1 / len(values) for name, values in FACTORS.items()}
    objects = 1 + (rows[:, _THINGS[1][0]] >= 0)
    each = {name: share[f"{name}1"] ** objects for name in ("shape", "colour", "size")}
    each |= {name: np.full(len(rows), share[name]) for name in ("where", "background")}
    each["all"] = np.prod(list(each.values()), axis=0)
    return records.Shares(n=len(rows), **{name: float(each[name].mean()) for name in SAID})


def _precision(
    scores: dict[str, reading.Scores], rows: Indices, rng: np.random.Generator
) -> float | None:
    """Images whose own scene is likelier than 99 of other images; None of too few scenes."""
    different = len(np.unique(rows, axis=0))
    if different <= OTHERS:
        return None
    best = []
    for k, row in enumerate(rows):
        others = rows[(rows != row).any(axis=1)]
        chosen = others[rng.choice(len(others), OTHERS, replace=False)]
        best.append(_is_likeliest(scores, k, row, chosen))
    return float(np.mean(best))


def _precision_hard(scores: dict[str, reading.Scores], rows: Indices) -> float:
    return float(np.mean([_is_likeliest(scores, k, row, alike(row)) for k, row in enumerate(rows)]))


def _is_likeliest(
    scores: dict[str, reading.Scores], image: int, row: Indices, others: Indices
) -> bool:
    own = {name: score[image : image + 1] for name, score in scores.items()}
    of = likelihood(own, np.concatenate([row[None], others])[None])[0]
    return bool(of[0] > of[1:].max())
