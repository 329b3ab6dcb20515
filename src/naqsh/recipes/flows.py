"""Autoregressive normalising flows: MAF, IAF and TarFlow.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from typing import Any

from naqsh.core.optimizers import Adam, Muon
from naqsh.recipes.recipe import Data, Recipe, Training, recipe

_CAPSULE_64: dict[str, Any] = {
    "blocks": 5,
    "hidden": (128, 128),
    "logit": 0.05,
    "normalisation": "actnorm",
    "optimizer": Adam(5e-4, weight_decay=0.1),
}
_CAPSULE_64_TRAINING = Training(epochs=60, batch=8, schedule="cosine", validation=0.1)


@recipe
def maf_digits() -> Recipe:
    """MAF on scikit-learn's small digits, 16x16; needs no download."""
    from naqsh.methods import maf

    spec = maf.Spec(blocks=5, hidden=(256, 256), optimizer=Adam(5e-4, weight_decay=0.1))
    return Recipe("", Data("digits"), spec, Training(epochs=40, schedule="cosine", validation=0.1))


@recipe
def iaf_digits() -> Recipe:
    """The network of maf-digits turned round: samples in one pass, training by inversion."""
    from naqsh.methods import iaf

    spec = iaf.Spec(blocks=5, hidden=(256, 256), optimizer=Adam(5e-4, weight_decay=0.1))
    return Recipe("", Data("digits"), spec, Training(epochs=20, schedule="cosine", validation=0.1))


@recipe
def maf_mnist() -> Recipe:
    """MAF on MNIST with the paper's logit, 1e-6 (Papamakarios et al., 2017)."""
    from naqsh.methods import maf

    spec = maf.Spec(blocks=5, hidden=(512, 512), optimizer=Adam(5e-4))
    return Recipe("", Data("mnist"), spec, Training(epochs=20, batch=100, validation=0.05))


@recipe
def maf_moons() -> Recipe:
    """MAF on two half moons in the plane."""
    from naqsh.methods import maf

    spec = maf.Spec(blocks=5, hidden=(64, 64), normalisation="actnorm", optimizer=Adam(2e-3))
    training = Training(steps=3000, batch=256, schedule="cosine", validation=0.05)
    return Recipe("", Data("moons"), spec, training)


@recipe
def maf_capsule() -> Recipe:
    """MAF on the good capsules of MVTec AD, 128x128: seven blocks of 512 and 512 units, batch 8."""
    from naqsh.methods import maf

    spec = maf.Spec(logit=0.05, optimizer=Adam(1e-4))
    training = Training(epochs=100, batch=8, validation=0.1)
    return Recipe("", Data("capsule", size=128), spec, training)


@recipe
def maf_capsule_64() -> Recipe:
    """MAF on the good capsules at 64x64, small enough for a laptop: minutes on two cores.

    Settled by short runs and the likelihood of held-out good capsules, one seed each, not by faulty
    ones: a smaller network than maf-capsule's, a larger learning rate that falls to 0.
    """
    from naqsh.methods import maf

    return Recipe("", Data("capsule", size=64), maf.Spec(**_CAPSULE_64), _CAPSULE_64_TRAINING)


@recipe
def iaf_capsule_64() -> Recipe:
    """The network of maf-capsule-64 turned round, to compare the times of the two."""
    from naqsh.methods import iaf

    return Recipe("", Data("capsule", size=64), iaf.Spec(**_CAPSULE_64), _CAPSULE_64_TRAINING)


_MUON = Muon(betas=(0.9, 0.95))
"""Of transformers, whose weights are matrices but for the norms."""


@recipe
def tarflow_digits() -> Recipe:
    """TarFlow on scikit-learn's small digits, 16x16; needs no download.

    Trained by Muon, on images with more noise than tarflow-mnist's, and drawn under guidance: after
    1,050 steps, a minute of one core, the Frechet distance (features digits) is 0.8 to 1.2
    (docs/experiments.md).
    """
    from naqsh.methods import tarflow

    training = Training(epochs=60, batch=32, warmup=30, schedule="cosine", ema=0.99)
    spec = tarflow.Spec(noise=0.2, guidance=2.0, optimizer=_MUON)
    return Recipe("", Data("digits"), spec, training)


@recipe
def tarflow_mnist() -> Recipe:
    """TarFlow on MNIST in patches of 4x4 (Zhai et al., 2024) by 0.4 million parameters.

    `--method.noise 0` has it learn the density of the images themselves, without noise on them.
    """
    from naqsh.methods import tarflow

    training = Training(
        epochs=10, batch=64, warmup=200, schedule="cosine", ema=0.999, validation=0.02
    )
    return Recipe("", Data("mnist"), tarflow.Spec(guidance=1.5, optimizer=_MUON), training)


@recipe
def tarflow_capsule_64() -> Recipe:
    """TarFlow on the good capsules of MVTec AD at 64x64 in patches of 8x8."""
    from naqsh.methods import tarflow

    spec = tarflow.Spec(patch=8, noise=0.05, optimizer=Adam(1e-3, weight_decay=0.1))
    return Recipe("", Data("capsule", size=64), spec, _CAPSULE_64_TRAINING)
