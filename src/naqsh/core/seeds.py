"""Seeds of any size and sign, each for one purpose; PyTorch is not needed for them."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """A seed of its own for one purpose, so that no two purposes share a stream.

    Generators of NumPy, PyTorch and others take seeds of other ranges each; all of them take this.

    Args:
        seed: the one seed of the user's, any whole number.
        purpose: what the stream is for, for example ``("train", step)``.

    Returns:
        a 63-bit integer; equal on every machine and in every process.
    """
    words = "/".join(str(word) for word in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") >> 1
