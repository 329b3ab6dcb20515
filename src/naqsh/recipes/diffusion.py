"""Recipes of the diffusion family.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from naqsh.recipe import Data, Recipe, Training, recipe
from naqsh.spec import Adam


@recipe
def ddpm_mnist() -> Recipe:
    """DDPM on MNIST (Ho et al., 2020) by a U-Net of 1.1 million parameters."""
    from naqsh.methods import diffusion

    training = Training(epochs=9, batch=64, warmup=400, schedule="cosine", ema=0.999, clip_norm=1)
    return Recipe("", Data("mnist"), diffusion.Spec(), training)


@recipe
def ddpm_digits() -> Recipe:
    """DDPM on scikit-learn's small digits, 16x16; needs no download."""
    from naqsh.methods import diffusion

    training = Training(epochs=60, batch=64, warmup=50, schedule="cosine", ema=0.995, clip_norm=1)
    spec = diffusion.Spec(width=32, multipliers=(1, 2), optimizer=Adam(2e-3))
    return Recipe("", Data("digits"), spec, training)
