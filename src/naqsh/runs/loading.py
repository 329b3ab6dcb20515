"""The method in a weights file, which needs nothing beside itself, whoever made the file.

The recipe in the header is built without numbers first, and only as far as the file has tensors for
it; it is compared with them, then with the memory that there is. Only then is memory taken.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from naqsh.core.abilities import DrawsLabels
from naqsh.core.errors import NaqshError
from naqsh.core.memory import keep_freed
from naqsh.core.method import Method
from naqsh.core.printable import short
from naqsh.core.readable import readable_bytes
from naqsh.core.spec import Layout, Shape
from naqsh.io import environment, headers
from naqsh.io.values import from_json
from naqsh.recipes import recipe as recipe_module
from naqsh.recipes.recipe import SIDES, Recipe
from naqsh.runs import checkpoint, tensors
from naqsh.runs.blueprint import blueprint
from naqsh.runs.folder import RunFolder


@dataclass(frozen=True)
class Header:
    """What a weights file says of itself.

    Attributes:
        recipe: of the run.
        text: the recipe as it is written there.
        layout: the columns of its batches.
        counts: how many training images have each label; empty where unknown.
        step: that the weights are of; None in files of before it was written.
    """

    recipe: Recipe
    text: str
    layout: Layout
    counts: list[int]
    step: int | None


def read_header(path: Path) -> Header:
    """What a weights file says of itself.

    Raises:
        NaqshError: it is missing, damaged, not written by Naqsh, or its header does not fit.
    """
    texts = headers.ours(path)
    try:
        layout = Layout(
            _shape(from_json(texts["shape"]), extent := _extent(texts)),
            tuple(str(name) for name in from_json(texts["classes"])),
            _whole(from_json(texts.get("caption", "0"))),
            _shape(from_json(texts["second"])) if "second" in texts else None,
            from_json(texts.get("paired", "false")) is True,
            extent,
        )
        counts = checkpoint.counts(texts, len(layout.classes))
        step = _step(texts)
        recipe = recipe_module.from_yaml(texts["recipe"])
    except (NaqshError, ValueError, TypeError) as error:
        raise NaqshError(f"{path} has a header that does not fit: {error}") from error
    return Header(recipe, texts["recipe"], layout, counts, step)


def _extent(texts: Mapping[str, str]) -> float:
    extent = from_json(texts.get("extent", "0.0"))
    if type(extent) is not float or not 0 <= extent < 1e6:
        raise ValueError(f"an extent of {short(extent)}")
    return extent


def _shape(plain: Any, extent: float = 0.0) -> Shape:
    channels, height, width = (_whole(side) for side in plain)
    if extent and (channels, height, width) != (2, 1, 1):
        raise ValueError(f"points that are images of {height}x{width}x{channels}")
    if not extent and (channels not in (1, 3) or max(height, width) > SIDES):
        raise ValueError(f"images of {height}x{width}x{channels}")
    return channels, height, width


def _step(texts: Mapping[str, str]) -> int | None:
    return _whole(int(texts["step"])) if "step" in texts else None


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"need a whole number, got {short(value)}")
    return value


def load(path: Path) -> tuple[Method, Header]:
    """The method in a weights file, on the CPU in eval mode, and what the file says of itself.

    Raises:
        NaqshError: as :func:`read_header`; or the tensors in the file are not those of its recipe,
            or there is no memory for them.
    """
    keep_freed()  # whoever loads a network runs it
    header = read_header(path)
    shapes = tensors.shapes(path)
    numbers = sum(math.prod(shape) for shape in shapes.values())
    try:
        plan = blueprint(header.recipe, header.layout, len(shapes), numbers)
    except (NaqshError, ValueError, ArithmeticError, LookupError, RuntimeError, TypeError) as error:
        # What PyTorch says of networks that cannot be depends on where it notices.
        why = " ".join(str(error).split())[:300]
        raise NaqshError(f"{path} has a header that does not fit: {why}") from error
    tensors.compare(path, plan.state_dict())
    needed = sum(value.nbytes for value in [*plan.parameters(), *plan.buffers()])
    room = environment.memory(torch.device("cpu"))
    if room and 2 * needed > room:
        raise NaqshError(
            f"{path} needs about {readable_bytes(2 * needed)} of memory to be read, and there are "
            f"{readable_bytes(room)}"
        )
    method = header.recipe.method.build(header.layout)
    if isinstance(method, DrawsLabels) and header.counts:
        method.count_labels(header.counts)
    found, texts = tensors.read(path, method.state_dict())
    method.load_state_dict(found)
    # A training may have replaced the file by that of a later step in between.
    return method.eval(), replace(header, step=_step(texts))


def recipe_of(folder: RunFolder) -> Recipe:
    """A run's recipe; raises NaqshError where its folder has none, or what is wrong in it."""
    return recipe_module.of_text(folder.recipe_text(), folder.recipe)
