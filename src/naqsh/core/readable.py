"""How sizes are said in messages."""

import math


def readable_size(shape: tuple[int, int, int]) -> str:
    """The shape (C, H, W) of images as people say it: height by width by channels."""
    return f"{shape[1]}x{shape[2]}x{shape[0]}"


def readable_bytes(count: int) -> str:
    """A number of bytes as people read it: 1536 is ``1.5 KiB``."""
    power = min(4, int(math.log(max(count, 1), 1024)))
    size = float(f"{count / 1024**power:.3g}")  # once more by :g: 1000 and not 1e+03
    return f"{size:g} {['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}"
