r"""Log-likelihoods of images, and what they are in bits a dimension.

An image of D numbers with 256 levels each has a probability P; its bits a dimension are

.. math:: -\frac{\log_2 P}{D}.

A model that gives a density p of real numbers, on which neighbouring levels lie w apart, is taken
for one of levels by :math:`P \approx p\, w^D`, the density times the volume of a level, hence

.. math:: -\frac{\log_2 p}{D} - \log_2 w.

How far apart they lie is the model's to say: levels k/255 in [0, 1] lie 1/255 apart, dequantised
ones (k + u) / 256 in bins of 1/256, which differ by 0.0056 bits. The logarithm of a dequantised
density, averaged over a level, is never above that of P (Theis et al., 2016); a density at the
levels themselves may be, where it is narrower than they are.

Black and white pixels have other probabilities; their bits must not be compared with these.

References:
    A note on the evaluation of generative models (Theis et al., 2016), arXiv:1511.01844,
    section 3.1.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.core.measured import Likelihood as Likelihood


def likelihood(
    log_prob: NDArray[np.float64],
    dimensions: int,
    *,
    kind: str,
    of: Literal["density", "levels", "black and white"],
    level_width: float,
    reference: str,
) -> Likelihood:
    """What the log-likelihoods of single images come to.

    Args:
        log_prob: nats of each image, shape (N,).
        dimensions: numbers in an image, C * H * W.
        kind: exact, lower bound or estimate.
        of: what a value is the logarithm of.
        level_width: how far apart neighbouring levels lie in what a density is of.
        reference: which images.

    Raises:
        NaqshError: fewer than two images, or a log-likelihood that is not finite.
    """
    if len(log_prob) < 2:
        raise NaqshError(f"a likelihood needs at least 2 images, got {len(log_prob)}")
    if not np.isfinite(log_prob).all():
        lost = int((~np.isfinite(log_prob)).sum())
        raise NaqshError(
            f"{lost} of {len(log_prob)} log-likelihoods are not finite: the model gives "
            "some images no density"
        )
    nats, error = float(log_prob.mean()), float(log_prob.std(ddof=1) / math.sqrt(len(log_prob)))
    level = -math.log2(level_width) if of == "density" else 0.0
    scale = dimensions * math.log(2)
    bits = -nats / scale + level
    return Likelihood(nats, error, bits, error / scale, kind, of, len(log_prob), reference)
