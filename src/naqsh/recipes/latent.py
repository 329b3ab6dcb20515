"""Autoencoders, and diffusion in their latents.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from naqsh.core.optimizers import Adam
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

    training = Training(
        epochs=3,
        batch=64,
        warmup=200,
        schedule="cosine",
        clip_norm=1.0,
        ema=0.999,
        validation=0.02,
    )
    return Recipe("", Data("mnist"), autoencoder.Spec(perceptual="mnist"), training)


@recipe
def autoencoder_shapes() -> Recipe:
    """Autoencoder of rendered shapes, 32x32 to 8x8x4, for ldm-shapes; needs no download."""
    from naqsh.methods import autoencoder

    training = Training(
        epochs=10,
        batch=64,
        warmup=200,
        schedule="cosine",
        clip_norm=1.0,
        ema=0.999,
        validation=0.02,
    )
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
