"""A method whose tensors have shapes and no numbers: what is known of it before it takes memory.

Numbers of a recipe, or a shape in a weights file, may ask for networks that no machine has room
for. They are found here, where asking costs nothing.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.readable import readable_size
from naqsh.core.spec import Layout
from naqsh.recipes.recipe import Recipe

PARTS = 20_000
"""More layers, parameters and buffers than this, networks cannot have: to make each takes time."""

BYTES = 1 << 50
"""More bytes of parameters and buffers than this no memory has."""


def blueprint(
    recipe: Recipe,
    layout: Layout,
    tensors: int | None = None,
    numbers: int | None = None,
) -> Method:
    """A recipe's method on the meta device.

    Args:
        recipe: whose method.
        layout: the columns of its batches.
        tensors: in the file that is to fill it; building ends once there are far more.
        numbers: in all of them together; the same.

    Raises:
        NaqshError: its networks would be too large for any memory.
        ValueError: they do not fit images of that shape.
    """
    too_large = NaqshError(
        f"{recipe.name} on images of {readable_size(layout.shape)}: a network of that size has "
        "no place in any memory"
    )
    parts = PARTS if tensors is None else min(PARTS, 8 * tensors + 500)
    size = BYTES if numbers is None else min(BYTES, 16 * numbers + (64 << 20))
    try:
        with torch.device("meta"), _bounded(parts, size, too_large):
            return recipe.method.build(layout)
    except (OverflowError, MemoryError) as error:
        raise too_large from error
    except (RuntimeError, TypeError) as error:
        words = str(error).lower()
        if "overflow" not in words and "allocate" not in words and "too large" not in words:
            raise
        raise too_large from error


@contextlib.contextmanager
def _bounded(most: int, largest: int, too_large: NaqshError) -> Iterator[None]:
    """Stop building once there are too many parts, or too many bytes in them."""
    parts, size = 0, 0

    def counted(_owner: nn.Module, _name: str, part: object) -> None:
        nonlocal parts, size
        parts += 1
        size += part.nbytes if isinstance(part, Tensor) else 0
        if parts > most or size > largest:
            raise too_large

    with contextlib.ExitStack() as stack:
        for register in (
            hooks.register_module_module_registration_hook,
            hooks.register_module_parameter_registration_hook,
            hooks.register_module_buffer_registration_hook,
        ):
            stack.callback(register(counted).remove)
        yield
