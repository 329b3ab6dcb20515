r"""Several generators: who made an image, which the critic tells and the generators make easy.

Image i of a batch, or of a seed, is made by generator i mod K, so that each makes as many whatever
ranks or parts share a batch. In training the K images of a row share one latent.

- MGAN: the critic tells by a second head which generator made a fake. It minimises the
  cross-entropy beside its own loss, and the generators minimise beta times the same beside theirs:
  they keep apart.
- MAD-GAN: the critic has one softmax of K + 1 classes, the K generators and real images. The
  generators maximise the probability of the last. With d its log-odds, the critic's loss is
  :math:`\zeta(-d) + \zeta(\tilde d)` and the cross-entropy of the generators among themselves: MGAN
  with joined heads, with the non-saturating objective and beta = 0.

References:
    MGAN: Training Generative Adversarial Nets with Multiple Generators (Hoang et al., 2018), ICLR,
    equations 2 and 3.
    Multi-Agent Diverse Generative Adversarial Networks (Ghosh et al., 2018), arXiv:1704.02906,
    equations 2 and 3.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from naqsh.core.noise import Noise


def makers(noise: Noise, count: int) -> Tensor:
    """The number of the generator that makes each of the noise's images, int64 with shape (N,)."""
    numbers = torch.arange(noise.first, noise.first + len(noise), device=noise.device)
    return numbers % count


def shared_latents(noise: Noise, count: int, latent: int) -> Tensor:
    """Latents with shape (N, latent), the same for the images from a multiple of `count` on."""
    first, last = noise.first // count, (noise.first + len(noise) - 1) // count
    rows = Noise(noise.seed, last + 1 - first, first, noise.device)
    rows.draws, noise.draws = noise.draws, noise.draws + 1
    numbers = torch.arange(noise.first, noise.first + len(noise), device=noise.device)
    return rows.normal(latent)[numbers // count - first]


def told(ways: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of who made fakes, and how often it is told rightly; both scalars.

    Args:
        ways: logits with shape (N, K).
        which: who made them, int64 with shape (N,).
    """
    return cross_entropy(ways, which), (ways.argmax(1) == which).float().mean()
