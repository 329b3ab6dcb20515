"""Normalising flows by coupling: NICE and RealNVP.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from naqsh.core.optimizers import Adam
from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@recipe
def nice_digits() -> Recipe:
    """NICE on scikit-learn's small digits, 16x16: additive couplings (Dinh et al., 2015).

    The paper's four couplings and a diagonal scaling, with 2 layers of 512 units instead of 5 of
    1000, a normal instead of a logistic base density, and the logit of later flows.
    """
    from naqsh.methods import coupling

    spec = coupling.Spec(
        coupling="additive", network="dense", blocks=4, hidden=512, normalisation="none"
    )
    return Recipe("", Data("digits"), spec, Training(epochs=60, validation=0.1))


@recipe
def realnvp_digits() -> Recipe:
    """RealNVP on scikit-learn's small digits, 16x16; needs no download (Dinh et al., 2017)."""
    from naqsh.methods import coupling

    training = Training(epochs=40, schedule="cosine", validation=0.1, clip_norm=100.0)
    return Recipe("", Data("digits"), coupling.Spec(blocks=2, hidden=32), training)


@recipe
def realnvp_mnist() -> Recipe:
    """RealNVP on MNIST with two scales (Dinh et al., 2017)."""
    from naqsh.methods import coupling

    spec = coupling.Spec(logit=1e-6, optimizer=Adam(1e-3))
    training = Training(
        epochs=20, batch=128, schedule="cosine", validation=0.05, clip_norm=100.0, ema=0.999
    )
    return Recipe("", Data("mnist"), spec, training)


@recipe
def realnvp_moons() -> Recipe:
    """RealNVP on two half moons in the plane, by dense couplings."""
    from naqsh.methods import coupling

    spec = coupling.Spec(network="dense", blocks=8, hidden=64)
    training = Training(steps=3000, batch=256, schedule="cosine", validation=0.05, clip_norm=100.0)
    return Recipe("", Data("moons"), spec, training)
