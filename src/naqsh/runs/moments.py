"""What optimisers remember between steps, as a file: running means and counts, nothing else.

A file never says how an optimiser works: rates, betas and switches come from the recipe. Every
parameter has what its optimiser keeps, dense, in its own shape and type; the fused kernels trust
that and would write past the end of anything smaller. Names are ``phase/number/kept``, with the
parameter's number in its phase.
"""

import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.muon import Muon, is_matrix
from naqsh.core.printable import short, shown
from naqsh.core.world import World
from naqsh.io.foreign import require_file
from naqsh.runs import tensors

FILE, OLD_FILE = "optimizers.safetensors", "optimizers.pt"

Optimizers = Mapping[str, torch.optim.Optimizer]

COUNT = "step"
"""What is kept as one number of a parameter; everything else has the parameter's shape."""


def kept(optimizer: torch.optim.Optimizer, parameter: Tensor) -> tuple[str, ...]:
    """The names of what an optimiser keeps of a parameter."""
    if isinstance(optimizer, Muon) and is_matrix(parameter):
        return (COUNT, "exp_avg")
    if isinstance(optimizer, torch.optim.AdamW):
        return (COUNT, "exp_avg", "exp_avg_sq")
    if isinstance(optimizer, torch.optim.RMSprop):
        return (COUNT, "square_avg")
    if isinstance(optimizer, torch.optim.SGD):
        return ("momentum_buffer",) if optimizer.defaults["momentum"] else ()
    raise TypeError(f"what {type(optimizer).__name__} keeps is not known here")


def save(path: Path, optimizers: Optimizers) -> None:
    """Write what the optimisers keep; zeros where a parameter was never updated, as they begin."""
    found = {}
    for name, parameter, optimizer, key in _slots(optimizers):
        value = optimizer.state.get(parameter, {}).get(key)
        found[name] = _fresh(parameter, key) if value is None else value
    tensors.save(path, found, {})


def share(optimizers: Optimizers, world: World) -> None:
    """Give every rank what the first one's optimisers keep."""
    found = {}
    for name, parameter, optimizer, key in _slots(optimizers):
        value = optimizer.state.get(parameter, {}).get(key)
        found[name] = (_fresh(parameter, key) if value is None else value).to(world.device)
    for value in found.values():
        world.broadcast_tensor(value)
    _fill(optimizers, found)


def there(folder: Path) -> bool:
    """Whether a checkpoint's folder has what optimisers remember; that of an export has not."""
    return (folder / FILE).exists() or (folder / OLD_FILE).exists()


def load(folder: Path, optimizers: Optimizers) -> None:
    """Fill the optimisers from a checkpoint's folder.

    Raises:
        NaqshError: the file is missing or damaged, or not all that the optimisers keep.
    """
    due = {n: _fresh(p, key, "meta") for n, p, _, key in _slots(optimizers)}
    path = folder / FILE
    if not path.exists() and (folder / OLD_FILE).exists():
        path = folder / OLD_FILE
        found = _read_old(path, due, optimizers)
    else:
        found = tensors.read(path, due)[0]
    for name, value in found.items():
        count = name.endswith(f"/{COUNT}")
        if not bool(value.isfinite().all()) or (count and not _is_count(float(value))):
            raise NaqshError(f"{path} is damaged: {short(name)} cannot be")
    _fill(optimizers, found)


def _fill(optimizers: Optimizers, found: Mapping[str, Tensor]) -> None:
    for phase, optimizer in optimizers.items():
        own = optimizer.state_dict()["param_groups"]
        state: dict[int, dict[str, Tensor]] = {}
        for number, parameter in enumerate(_parameters(optimizer)):
            state[number] = {
                key: _laid_as(parameter, key, found[f"{phase}/{number}/{key}"])
                for key in kept(optimizer, parameter)
            }
        optimizer.load_state_dict({"state": state, "param_groups": own})


def _is_count(value: float) -> bool:
    return math.isfinite(value) and value >= 0 and value == int(value)


def _fresh(parameter: Tensor, key: str, device: str | None = None) -> Tensor:
    """What is kept of a parameter before its first update."""
    if key == COUNT:
        return torch.zeros((), device=device)
    return torch.zeros_like(parameter, device=device, memory_format=torch.contiguous_format)


def _laid_as(parameter: Tensor, key: str, value: Tensor) -> Tensor:
    """The value laid out in memory as its parameter is, channels last or not.

    A fused kernel walks through both by their addresses, so that in another layout each mean would
    be another weight's; a file has one layout alone.
    """
    return value if key == COUNT else torch.empty_like(parameter).copy_(value)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _slots(optimizers: Optimizers) -> Iterator[tuple[str, Tensor, torch.optim.Optimizer, str]]:
    """Every tensor that is kept: its name, its parameter, its optimiser and its key there."""
    for phase, optimizer in optimizers.items():
        for number, parameter in enumerate(_parameters(optimizer)):
            for key in kept(optimizer, parameter):
                yield f"{phase}/{number}/{key}", parameter, optimizer, key


def _read_old(path: Path, due: Mapping[str, Tensor], optimizers: Optimizers) -> dict[str, Tensor]:
    """The same from a file of before, a pickle of tensors alone, as strictly.

    Its numbers of how optimisers work are left aside.
    """
    require_file(path)
    most = 2 * sum(tensor.nbytes for tensor in due.values()) + (1 << 20) + 2048 * len(due)
    try:
        with zipfile.ZipFile(path) as archive:  # it may unpack to more than it takes
            if sum(info.file_size for info in archive.infolist()) > most:
                raise NaqshError(f"{path} is damaged or not ours: it is too large")
        plain: Any = torch.load(path, weights_only=True, map_location="cpu")
        states = {phase: plain[phase]["state"] for phase in optimizers}
        found = {
            f"{phase}/{number}/{key}": states[phase][number][key]
            for phase, optimizer in optimizers.items()
            for number, parameter in enumerate(_parameters(optimizer))
            for key in kept(optimizer, parameter)
        }
        if any(set(s) != set(range(len(_parameters(optimizers[p])))) for p, s in states.items()):
            raise ValueError("it has other parameters")
    except NaqshError:
        raise
    except Exception as error:  # torch.load raises many types for a damaged or foreign file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NaqshError(f"{path} is damaged or not ours: {shown(reason)[:200]}") from error
    for name, wanted in due.items():
        value = found[name]
        if (
            type(value) is not Tensor
            or value.layout is not torch.strided
            or value.device.type != "cpu"
            or value.dtype != wanted.dtype
            or value.shape != wanted.shape
        ):
            raise NaqshError(
                f"{path} is damaged or not ours: {short(name)} is no dense tensor of shape "
                f"{list(wanted.shape)}"
            )
    return {name: value.detach().clone() for name, value in found.items()}
