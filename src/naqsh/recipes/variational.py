"""Variational autoencoders.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from naqsh.core.optimizers import Adam
from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@recipe
def vae_dsprites() -> Recipe:
    """VAE on dSprites of orientation 0 (Kingma and Welling, 2013); rendered, no download."""
    from naqsh.methods import vae

    return Recipe("", Data("dsprites"), vae.Spec(), Training(steps=17_280))


@recipe
def controlvae_dsprites() -> Recipe:
    """VAE whose KL a controller keeps at a set point, `--method.kl 8` (Shao et al., 2020).

    The released code trains for 1.5 million steps and lets the set point rise every 5,000. Here are
    17,280 steps, so it rises every 50, and Ki is twice the released one for beta to follow.
    """
    from naqsh.methods import controlvae

    spec = controlvae.Spec(ki=0.002, kl_every=50)
    return Recipe("", Data("dsprites"), spec, Training(steps=17_280))


@recipe
def vae_digits() -> Recipe:
    """VAE on scikit-learn's small digits, 16x16; needs no download."""
    from naqsh.methods import vae

    training = Training(epochs=300, validation=0.1)
    return Recipe("", Data("digits"), vae.Spec(optimizer=Adam(1e-3)), training)


@recipe
def vae_iaf_digits() -> Recipe:
    """The VAE of vae-digits with inverse autoregressive flow as posterior (Kingma et al., 2016)."""
    from naqsh.methods import vae

    spec = vae.Spec(posterior="iaf", posterior_hidden=64, optimizer=Adam(1e-3))
    return Recipe("", Data("digits"), spec, Training(epochs=300, validation=0.1))


@recipe
def vae_mnist() -> Recipe:
    """VAE on MNIST, its grey values taken as chances of white."""
    from naqsh.methods import vae

    spec = vae.Spec(latent=16, optimizer=Adam(1e-3))
    return Recipe("", Data("mnist"), spec, Training(epochs=20, batch=128, validation=0.05))


@recipe
def vae_cifar10() -> Recipe:
    """VAE with Gaussian pixels of a learnt scale on CIFAR-10, twice as wide."""
    from naqsh.methods import vae

    spec = vae.Spec(
        likelihood="gaussian", learn_scale=True, latent=64, width=2, optimizer=Adam(5e-4)
    )
    training = Training(epochs=40, batch=128, validation=0.05)
    return Recipe("", Data("cifar10", flip=True), spec, training)


@recipe
def vae_capsule() -> Recipe:
    """VAE with Gaussian pixels on the good capsules of MVTec AD at 64x64, for anomaly detection."""
    from naqsh.methods import vae

    spec = vae.Spec(likelihood="gaussian", learn_scale=True, latent=32, optimizer=Adam(5e-4))
    training = Training(epochs=300, batch=32, validation=0.1)
    return Recipe("", Data("capsule", size=64), spec, training)
