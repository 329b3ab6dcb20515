"""Autoencoders, and diffusion in their latents.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from dataclasses import replace

from naqsh.core.optimizers import Adam
from naqsh.recipes.captions import SHAPES
from naqsh.recipes.diffusion import MNIST
from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@recipe
def autoencoder_digits() -> Recipe:
    """Autoencoder of scikit-learn's small digits, 16x16 to 4x4x4, for ldm-digits; no download."""
    from naqsh.methods import autoencoder

    spec = autoencoder.Spec(width=8, perceptual="digits", optimizer=Adam(2e-3))
    training = Training(epochs=40, batch=32, schedule="cosine", warmup=50, ema=0.99, validation=0.1)
    return Recipe("", Data("digits"), spec, training)


@recipe
def autoencoder_mnist() -> Recipe:
    """Autoencoder of MNIST, 28x28 to 7x7x4, for ldm-mnist (Rombach et al., 2022)."""
    from naqsh.methods import autoencoder

    training = replace(MNIST, epochs=3, warmup=200)
    return Recipe("", Data("mnist"), autoencoder.Spec(perceptual="mnist"), training)


@recipe
def autoencoder_shapes() -> Recipe:
    """Autoencoder of rendered shapes, 32x32 to 8x8x4, for ldm-shapes; needs no download."""
    from naqsh.methods import autoencoder

    training = replace(MNIST, epochs=10, warmup=200)
    spec = autoencoder.Spec(perceptual="shapes")
    return Recipe("", Data("shapes", size=32), spec, training)


@recipe
def autoencoder_cifar10() -> Recipe:
    """Autoencoder of CIFAR-10, 32x32 to 16x16x4, with a discriminator of patches; for a GPU."""
    from naqsh.methods import autoencoder

    spec = autoencoder.Spec(
        width=64,
        multipliers=(1, 2),
        blocks=2,
        attention=True,
        adversarial=0.1,
        adversarial_after=20_000,
        critic_width=64,
        optimizer=Adam(2e-4),
    )
    training = Training(
        epochs=100, batch=128, warmup=1000, clip_norm=1.0, ema=0.9995, validation=0.02
    )
    return Recipe("", Data("cifar10", flip=True), spec, training)


LDM = replace(MNIST, epochs=20)
"""As the small diffusion models of pixels are trained, for twice as many epochs."""

LDM_DIGITS = Training(epochs=40, batch=32, warmup=100, schedule="cosine", clip_norm=1.0, ema=0.99)
"""The same for a set of 1,500 small images."""


@recipe
def ldm_digits() -> Recipe:
    """Latent diffusion of small digits, told labels, on a run of autoencoder-digits; no download.

    `naqsh train ldm-digits --method.autoencoder.run runs/autoencoder-digits`
    """
    from naqsh.methods import latent_diffusion

    spec = latent_diffusion.Spec(conditional=True, width=32, optimizer=Adam(2e-3))
    return Recipe("", Data("digits"), spec, LDM_DIGITS)


@recipe
def ldm_mnist() -> Recipe:
    """Latent diffusion on MNIST, 7x7x4, on a run of autoencoder-mnist (Rombach et al., 2022).

    `naqsh train ldm-mnist --method.autoencoder.run runs/autoencoder-mnist`
    """
    from naqsh.methods import latent_diffusion

    return Recipe("", Data("mnist"), latent_diffusion.Spec(), LDM)


@recipe
def meanflow_latent_digits() -> Recipe:
    """MeanFlow of small digits' latents, told labels, on autoencoder-digits; needs no download.

    `naqsh train meanflow-latent-digits --method.autoencoder.run runs/autoencoder-digits`
    """
    from naqsh.methods import latent_meanflow

    spec = latent_meanflow.Spec(conditional=True, guidance=2.0, width=32, optimizer=Adam(2e-3))
    return Recipe("", Data("digits"), spec, LDM_DIGITS)


@recipe
def meanflow_latent_mnist() -> Recipe:
    """MeanFlow of MNIST's latents, told labels, on autoencoder-mnist: images in one evaluation.

    `naqsh train meanflow-latent-mnist --method.autoencoder.run runs/autoencoder-mnist`
    """
    from naqsh.methods import latent_meanflow

    spec = latent_meanflow.Spec(conditional=True, guidance=2.0)
    return Recipe("", Data("mnist"), spec, LDM)


@recipe
def ldm_shapes() -> Recipe:
    """Latent diffusion of rendered shapes that follows captions, on a run of autoencoder-shapes.

    `naqsh train ldm-shapes --method.autoencoder.run runs/autoencoder-shapes`; needs no download.
    Captions are told with the time, which is learnt far sooner than by tokens; noise is drawn most
    often where shapes are decided, at about as much of it as of signal. It took 100 minutes of one
    core that it shared, and follows captions under `--guidance 2`.
    """
    from naqsh.diffusion.schedule import EDM
    from naqsh.methods import latent_diffusion

    spec = latent_diffusion.Spec(
        conditional="captions",
        tokens=0,
        places=True,
        schedule=EDM(mean=0.0, deviation=0.9),
        parameterisation="edm",
        width=64,
        heads=4,
        optimizer=Adam(2e-3),
    )
    return Recipe("", SHAPES, spec, replace(LDM, epochs=150))


@recipe
def ldm_cifar10() -> Recipe:
    """Latent diffusion on CIFAR-10, 16x16x4, told labels, on autoencoder-cifar10; for a GPU.

    A network of DDPM's width in latents that have a third of the pixels' numbers.
    """
    from naqsh.methods import latent_diffusion

    spec = latent_diffusion.Spec(
        conditional=True,
        width=128,
        multipliers=(1, 2, 2),
        blocks=2,
        attention=(16, 8),
        heads=4,
        dropout=0.1,
        steps=25,
        optimizer=Adam(2e-4),
    )
    training = Training(epochs=500, batch=128, warmup=5000, clip_norm=1.0, ema=0.9999)
    return Recipe("", Data("cifar10", flip=True), spec, training)
