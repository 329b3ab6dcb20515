"""What a run will cost, told before its first step: parameters, layers, memory.

The method is built and each phase run on PyTorch's meta device, where tensors have shapes but no
numbers. That takes no memory and little time, and it fails if a training step reads a number back
from the device, which no step of ours may do.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.recipes.recipe import Recipe
from naqsh.runs.blueprint import blueprint
from naqsh.runs.records import Layer


@dataclass(frozen=True)
class Estimate:
    """The cost of a run.

    Attributes:
        parameters: of all phases together.
        memory: bytes of one rank's weights, gradients, optimiser state, average and what backward
            keeps of one micro-batch; the program itself is not in it.
        networks: the layers of each phase, in the order they run.
    """

    parameters: int
    memory: int
    networks: dict[str, list[Layer]]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the run folder."""
        return asdict(self)


def estimate(recipe: Recipe, layout: Layout, ranks: int = 1) -> Estimate:
    """Trace one step of a recipe without computing it.

    Args:
        recipe: what would be trained.
        layout: the columns of its batches.
        ranks: processes that share a batch.

    Raises:
        ValueError: a network does not fit the images.
        NaqshError: the losses do not fit the parts of a batch.
    """
    method = blueprint(recipe, layout)
    method.train()
    micro = max(1, recipe.training.batch // recipe.training.accumulate // ranks)
    _refuse_parts(method, recipe, micro)
    networks: dict[str, list[Layer]] = {}
    own = {parameter.untyped_storage()._cdata for parameter in method.parameters()}
    kept, state = 0, 0
    for phase in method.phases():
        method.requires_grad_(False)
        trained = phase.parameters()
        for parameter in trained:
            parameter.requires_grad_(True)
        layers: dict[str, Layer] = {}
        rows = _rows(method, phase.modules)
        hooks = [module.register_forward_hook(_note(layers, row)) for module, row in rows]
        # What backward keeps is a line in the batch's size: two small traces give it.
        two, four = (_kept(phase.loss, _batch(layout, n * method.group), own) for n in (2, 4))
        if micro * ranks == 1:  # batch normalisation takes its statistics over all ranks
            _try_one(phase.loss, _batch(layout, 1))
        kept = max(kept, two + (four - two) // 2 * (micro // method.group - 2))
        for hook in hooks:
            hook.remove()
        for _, row in rows:
            if row.parameters:
                layers.setdefault(row.name, row)
        networks[phase.name] = list(layers.values())
        state += phase.optimizer.copies * sum(parameter.nbytes for parameter in trained)
    weights = sum(parameter.nbytes for parameter in method.parameters())
    copies = 3 if recipe.training.ema else 2
    parameters = sum(parameter.numel() for parameter in method.parameters())
    return Estimate(parameters, copies * weights + state + kept, networks)


def _refuse_parts(method: Method, recipe: Recipe, micro: int) -> None:
    """Refuse parts of a batch that a method's losses cannot be taken of."""
    training = recipe.training
    if method.whole and training.accumulate > 1:
        raise NaqshError(
            f"{recipe.name}: its losses compare the images of a whole batch, which may not be cut "
            f"into parts; training.accumulate must be 1, got {training.accumulate}"
        )
    if micro % method.group:
        raise NaqshError(
            f"{recipe.name}: its losses see {method.group} images at once, and {micro} do not "
            f"divide into packs of as many; take another training.batch than {training.batch}"
        )


def _batch(layout: Layout, count: int) -> Batch:
    def zeros(*shape: int) -> Tensor:
        return torch.zeros(count, *shape, device="meta")

    return Batch(
        zeros(*layout.shape),
        zeros().long() if layout.classes else None,
        Noise(0, count, device="meta"),
        captions=zeros(layout.caption) if layout.caption else None,
        mismatched=zeros(layout.caption) if layout.caption else None,
        second=zeros(*layout.second) if layout.second else None,
    )


def _try_one(loss: Callable[[Batch, int], dict[str, Tensor]], batch: Batch) -> None:
    """Batch normalisation cannot learn from one image; say so before training does."""
    try:
        loss(batch, 0)
    except ValueError as error:
        raise ValueError(
            f"one image at a time is too few ({error}); training.batch over training.accumulate "
            "must be at least 2"
        ) from error


def _rows(method: Method, modules: Sequence[nn.Module]) -> list[tuple[nn.Module, Layer]]:
    """The modules that a table shows, each with its row as far as it is known before a call.

    Where a phase has several, their layers may have equal names: the module's own stands before.
    """
    rows = []
    own = {module: f"{name}." for name, module in method.named_modules() if len(modules) > 1}
    for module in modules:
        before = own.get(module, "")
        for name, child in module.named_modules():
            if "parametrizations" in name:
                continue
            innermost = not [n for n, _ in child.named_children() if n != "parametrizations"]
            count = sum(p.numel() for p in child.parameters(recurse=innermost))
            if innermost or count:
                kind = type(child).__name__.removeprefix("Parametrized")
                rows.append((child, Layer(before + (name or kind), kind, None, count)))
    return rows


def _note(layers: dict[str, Layer], row: Layer) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that notes what a module gives the first time it runs."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(first, Tensor):
            layers.setdefault(row.name, replace(row, output=tuple(first.shape[1:])))

    return hook


def _kept(loss: Callable[[Batch, int], dict[str, Tensor]], batch: Batch, weights: set[int]) -> int:
    """Bytes that backward keeps of one call, each storage once; weights are not among them."""
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss(batch, 0)
    return sum(storage.nbytes() for key, storage in kept.items() if key not in weights)
