"""Spectral normalisation of a whole network.

References:
    Spectral Normalization for GANs (Miyato et al., 2018), arXiv:1802.05957, equation 8.
"""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def normalise(network: nn.Module) -> None:
    """Divide the weight of each of a network's layers by its largest singular value from now on."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            spectral_norm(layer)
