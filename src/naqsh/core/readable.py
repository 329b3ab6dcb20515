"""How sizes and times are said in messages."""

import math


def readable_size(shape: tuple[int, int, int]) -> str:
    """The shape (C, H, W) of pictures as people say it: height by width by channels."""
    return f"{shape[1]}x{shape[2]}x{shape[0]}"


def readable_bytes(count: int) -> str:
    """A number of bytes as people read it: 1536 is ``1.5 KiB``."""
    power = min(4, int(math.log(max(count, 1), 1024)))
    return f"{count / 1024**power:.3g} {['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}"


def readable_time(seconds: float) -> str:
    """A time as people read it: ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
