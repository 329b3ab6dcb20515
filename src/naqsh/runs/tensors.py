"""Safetensors files: written with a digest, and compared with what they fill before it is filled.

A file that is cut, damaged or of other networks must be one line, not a crash: the names, types and
shapes in its header are compared with those that are due, then the tensors are read, no more and no
larger ones, and then their digest is. The header's texts are part of it, so that weights that say
they are of another step are found too. It guards against accidents; whoever makes a file on purpose
makes its digest as well.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.printable import short
from naqsh.io.headers import opened

DIGEST = "sha256"
"""The text in a file's header that holds its digest; files of before there was one lack it."""

OTHERS = "other networks than its recipe"

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def save(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors with texts in the header, of the mode that the user's umask asks for."""
    there = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.touch()
    mode = path.stat().st_mode  # the library makes a file of its own that only its owner may read
    save_file(there, path, metadata={**header, DIGEST: digest(there, header)})
    path.chmod(mode & 0o777)


def digest(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """SHA-256 of the texts and of every tensor's name, type, shape and bytes."""
    total = hashlib.sha256()
    for key, text in sorted(header.items()):
        if key != DIGEST:
            total.update(f"{key}={len(text.encode())}:{text}".encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name}={tensor.dtype}:{tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def shapes(path: Path) -> dict[str, list[int]]:
    """The shape of each tensor in a file; raises as :func:`naqsh.io.headers.opened`."""
    with opened(path) as file:
        return {name: shape for name, (_, shape) in _outlines(file).items()}


def compare(path: Path, due: Mapping[str, Tensor]) -> None:
    """Refuse a file of tensors of other names, types or shapes than are due, unread.

    Args:
        path: the file.
        due: what it must have, maybe on the meta device.

    Raises:
        NaqshError: as :func:`naqsh.io.headers.opened`, or what is in it is not what is due.
    """
    with opened(path) as file:
        _compare(path, due, _outlines(file))


def read(
    path: Path, due: Mapping[str, Tensor], others: str = OTHERS
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors in a file, on the CPU, and the texts in its header.

    Args:
        path: the file.
        due: as for :func:`compare`.
        others: what it holds where these are others than are due, for the message.

    Raises:
        NaqshError: as :func:`compare`, or its content does not have the digest in its header.
    """
    with opened(path, "pt") as file:
        header: dict[str, str] = file.metadata() or {}
        _compare(path, due, _outlines(file), others)
        found = {name: file.get_tensor(name) for name in due}
    _require_digest(path, found, header)
    return found, header


def read_some(path: Path, due: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Some of the tensors in a file, on the CPU; all are read, as its digest is of all.

    Args:
        path: the file.
        due: those that are wanted; their types and shapes must be as here.

    Raises:
        NaqshError: as :func:`read`, but the file may have others beside.
    """
    with opened(path, "pt") as file:
        outlines = _outlines(file)
        _compare(path, due, {name: outlines[name] for name in due if name in outlines})
        header: dict[str, str] = file.metadata() or {}
        found = {name: file.get_tensor(name) for name in outlines}
    _require_digest(path, found, header)
    return {name: found[name] for name in due}


def _require_digest(path: Path, found: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    if DIGEST in header and header[DIGEST] != digest(found, header):
        raise NaqshError(f"{path} is damaged: its content does not have the digest it was given")


def _outlines(file: Any) -> dict[str, tuple[str, list[int]]]:
    """Each tensor's type and shape."""
    parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    return {name: (part.get_dtype(), part.get_shape()) for name, part in parts.items()}


def _compare(
    path: Path,
    due: Mapping[str, Tensor],
    found: Mapping[str, tuple[str, list[int]]],
    others: str = OTHERS,
) -> None:
    why = ""
    if missing := sorted(due.keys() - found.keys()):
        why = f"it lacks {short(missing[0])}"
    elif extra := sorted(found.keys() - due.keys()):
        why = f"it has {short(extra[0])}"
    for name, tensor in due.items():
        if why:
            break
        kind, shape = found[name]
        if list(tensor.shape) != shape or tensor.dtype != _TYPES.get(kind):
            wanted = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
            why = f"{short(name)} is {kind} {shape}, not {wanted}"
    if why:
        raise NaqshError(f"{path} holds {others}: {why}")
