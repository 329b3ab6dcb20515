"""The IDX format of MNIST and Fashion-MNIST.

Two zero bytes, one byte for the type (8 is uint8), one for the number of dimensions, each dimension
as a big-endian 32-bit integer, then the values in C order; the published files are gzipped.

References:
    LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/, "the IDX file format".
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError

_UINT8 = 8


def read(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array in an IDX file, gzipped or plain.

    Args:
        path: the file; gzipped when its name ends with ``.gz``.
        shape: the shape it must have; checked before any value is read, so that a file that claims
            to be huge costs nothing.

    Returns:
        uint8 array with the shape asked for, read-only.

    Raises:
        NaqshError: it is not an IDX file of bytes, has another shape, is cut short, or has bytes
            left over.
    """
    size = math.prod(shape)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0":
                raise NaqshError(f"{path} is not an IDX file (it begins with {head.hex()}){_AGAIN}")
            if head[2] != _UINT8:
                raise NaqshError(
                    f"{path} holds IDX values of type {head[2]:#04x}, not bytes{_AGAIN}"
                )
            dimensions = file.read(4 * head[3])
            found = (
                tuple(np.frombuffer(dimensions, ">u4").tolist()) if head[3] == len(shape) else ()
            )
            if found != shape:
                claims = "x".join(map(str, found)) or f"{head[3]} dimensions"
                raise NaqshError(f"{path} has {claims}, not {'x'.join(map(str, shape))}{_AGAIN}")
            # One byte more than is due tells whether something follows, and makes gzip check its
            # own checksum.
            values = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise NaqshError(f"{path} cannot be read ({error}){_AGAIN}") from error
    if len(values) != size:
        what = "is cut short" if len(values) < size else "has bytes after its last value"
        raise NaqshError(f"{path} {what}{_AGAIN}")
    return np.frombuffer(values, np.uint8).reshape(shape)


_AGAIN = "; remove it and fetch it again"
