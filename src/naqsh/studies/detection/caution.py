r"""Whether a likelihood measures what is unusual, or only how plain an image is.

A density model may find images likelier than those it was trained on: smooth ones, dark ones, a
single grey (Nalisnick et al., 2019). Much of an image's likelihood is its complexity: how many bits
its details take whatever they show. Three checks, on the images at hand:

* the rank correlation of the negative log-likelihood with the size as a PNG, and with brightness;
* where a constant image would rank among normal ones;
* how well the PNG's size alone parts anomalies from normal images.

and one remedy as a score of its own, :math:`S(x) = -\log_2 p(x) - L(x)` with the PNG's bits L
(Serrà et al., 2020, equation 1).

References:
    Do Deep Generative Models Know What They Don't Know? (Nalisnick et al., 2019), arXiv:1810.09136.
    Input Complexity and Out-of-distribution Detection with Likelihood-based Generative Models
    (Serrà et al., 2020), arXiv:1909.11480.
"""

import io
import math
from typing import Any

import numpy as np
import torch
from PIL import Image

from naqsh.core.method import Method
from naqsh.metrics import detection as measure
from naqsh.studies.detection.scores import Floats, LearntBefore, Likelihood, Pixels, Scores

CORRECTED = "likelihood-complexity"
CORRECTED_DETAIL = "negative log-likelihood less the size as a PNG, in bits"


def png_bits(images: Pixels) -> Floats:
    """Bits of each image, uint8 with shape (N, C, H, W), as a PNG that is packed well; (N,)."""
    sizes = []
    for picture in images:
        plain = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(plain)).save(buffer, "PNG", compress_level=9)
        sizes.append(8.0 * buffer.tell())
    return np.array(sizes)


class Complexity(LearntBefore):
    """The PNG's bits alone: what part of a likelihood may be nothing else."""

    name = "complexity"
    detail = "size as a PNG, in bits"
    baseline = True

    def score(self, images: Pixels, first: int) -> Scores:
        """Bits."""
        return Scores(png_bits(images), None)


class Corrected(Likelihood):
    """The negative log-likelihood less what the image's complexity accounts for."""

    name = CORRECTED

    def __init__(self, method: Method, draws: int, seed: int, device: torch.device) -> None:
        super().__init__(method, draws, seed, device)
        self.detail = CORRECTED_DETAIL

    def score(self, images: Pixels, first: int) -> Scores:
        """Bits."""
        return Scores(corrected(super().score(images, first).values, png_bits(images)), None)


def corrected(nats: Floats, bits: Floats) -> Floats:
    """Negative log-likelihoods in bits, less those that the images' complexity accounts for."""
    return nats / math.log(2) - bits


def check(
    scorer: Likelihood, normal: Pixels, nats: Floats, bits: Floats, images: Pixels
) -> dict[str, Any]:
    """How far a likelihood's scores of images are explained by their plainness.

    Args:
        scorer: what scored them.
        normal: normal images that the method was not fitted to, if there are any such.
        nats: the scores of `images`.
        bits: their sizes as PNGs.
        images: the images examined.

    Returns:
        ``complexity_correlation`` and ``brightness_correlation``, rank correlations over `images`
        (None for fewer than three); ``constants``: for mid-grey and the normal images' mean
        colour, the score of an image of nothing else in nats and the part of the normal images
        that are less likely than it; ``normal``: how many these are.
    """
    many = len(images) > 2
    brightness = images.reshape(len(images), -1).mean(1, dtype=np.float64)
    own = scorer.score(normal, 0).values
    shape = normal.shape[1:]
    colours = {
        "grey": np.full(shape[0], 128, np.uint8),
        "mean": normal.mean((0, 2, 3)).round().astype(np.uint8),
    }
    constants = {}
    for name, colour in colours.items():
        picture = np.broadcast_to(colour[:, None, None], shape)[None]
        value = float(scorer.score(picture, 0).values[0])
        constants[name] = {"nats": value, "likelier_than": float((own > value).mean())}
    return {
        "complexity_correlation": measure.rank_correlation(nats, bits) if many else None,
        "brightness_correlation": measure.rank_correlation(nats, brightness) if many else None,
        "constants": constants,
        "normal": len(own),
    }
