"""What can be known to be wrong before anything is loaded or drawn, the same for all studies."""

import torch

from naqsh.core.errors import NaqshError
from naqsh.core.spec import Shape
from naqsh.metrics import FeatureExtractor, extract, takes_points


def require_counts(*, n: int | None, batch: int, least: int = 2) -> None:
    """Refuse too few images, whatever they are.

    Args:
        n: images that are measured; None for all that there are.
        batch: images at a time.
        least: images that measuring needs.
    """
    if n is not None and n < least:
        raise NaqshError(f"measuring needs at least {least} images, got n {n}")
    if batch < 1:
        raise NaqshError(f"cannot take {batch} images at a time; give a batch of at least 1")


def require_fit(features: FeatureExtractor, *shapes: Shape) -> None:
    """Refuse features that do not take images of these shapes, or not to rows of one length.

    Each is tried on a black image: a table of 10,000 drawn images would come too late.

    Args:
        features: to measure by.
        shapes: of the images on either side, (C, H, W).
    """
    kind = torch.float32 if takes_points(features) else torch.uint8
    lengths = [extract(features, torch.zeros(1, *shape, dtype=kind)).shape[1] for shape in shapes]
    if len(set(lengths)) > 1:
        sizes = [f"{height}x{width}x{channels}" for channels, height, width in shapes]
        raise NaqshError(
            f"features {features.name!r} give images of {' and of '.join(sizes)} rows of other "
            "lengths; take real images of the samples' size and channels, or other features"
        )
