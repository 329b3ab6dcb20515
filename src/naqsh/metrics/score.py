r"""The classifier score: sure about each image, and of all classes.

.. math:: \exp \frac1n \sum_i \mathrm{KL}(p(y \mid x_i) \,\|\, \bar p(y)), \qquad
          \bar p(y) = \frac1n \sum_i p(y \mid x_i),

from 1 (every image gets the same probabilities) to the number of classes. With Inception's
probabilities it is the Inception score. It knows nothing of real images: one perfect image a
class, repeated, gets the highest score.

References:
    Improved Techniques for Training GANs (Salimans et al., 2016), arXiv:1606.03498, section 4.
    A Note on the Inception Score (Barratt and Sharma, 2018), arXiv:1801.01973: on the whole set
    rather than averaged over ten splits.
"""

import torch

from naqsh.core.errors import NaqshError
from naqsh.metrics._arrays import Array, as_features


def classifier_score(probabilities: Array) -> float:
    """Exponential of the mutual information between images and classes.

    Args:
        probabilities: of each class for each image, shape (n, K), rows summing to one.

    Returns:
        a number in [1, K].

    Raises:
        NaqshError: not a table of probabilities.
    """
    p = as_features(probabilities, "class probabilities").double()
    sums = p.sum(dim=1)
    # Rows of float32, and of bfloat16 softmaxes, sum to one only so well.
    if p.min() < 0 or (sums - 1).abs().max() > 1e-2:
        raise NaqshError(
            "class probabilities must be >= 0 and sum to 1 in each row; apply a softmax to scores"
        )
    p = p / sums[:, None]
    information = torch.special.entr(p.mean(dim=0)).sum() - torch.special.entr(p).sum(dim=1).mean()
    return float(information.clamp(min=0).exp())
