"""Adversarial networks: GANs, Wasserstein GANs, R3GAN and the self-supervised GAN.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

import dataclasses

from naqsh.core.optimizers import Adam, RMSprop
from naqsh.core.spec import MethodSpec
from naqsh.recipes.recipe import Data, Recipe, Training, recipe


def _wasserstein_clipped(width: int = 1) -> MethodSpec:
    """Arjovsky et al., 2017, algorithm 1."""
    from naqsh.methods import gan

    slow = RMSprop(5e-5)
    return gan.Spec(
        objective="wasserstein", width=width, n_critic=5, clip=0.01, generator=slow, critic=slow
    )


def _wasserstein_penalised(width: int = 1, rate: float = 1e-4, n_critic: int = 5) -> MethodSpec:
    """Gulrajani et al., 2017, algorithm 1, or at another rate, with fewer critic updates."""
    from naqsh.methods import gan

    adam = Adam(rate, (0.0, 0.9))
    return gan.Spec(
        objective="wasserstein",
        width=width,
        n_critic=n_critic,
        gradient_penalty=10.0,
        generator=adam,
        critic=adam,
    )


@recipe
def gan_mnist() -> Recipe:
    """GAN with the non-saturating loss on MNIST (Goodfellow et al., 2014)."""
    from naqsh.methods import gan

    return Recipe("", Data("mnist"), gan.Spec(), Training(epochs=20))


@recipe
def cgan_mnist() -> Recipe:
    """GAN that is told labels, with averaged weights, on MNIST (Miyato and Koyama, 2018).

    ``naqsh sample RUN --label 3`` draws threes. In 9.5 minutes on one core its Frechet distance
    (features `mnist`, 10,000 samples) came to 0.030, where gan-mnist without labels has 0.59.
    """
    from naqsh.methods import gan

    training = Training(epochs=10, schedule="cosine", ema=0.999, validation=0.05, measure_every=1.0)
    return Recipe("", Data("mnist"), gan.Spec(conditional=True), training)


@recipe
def wgan_mnist() -> Recipe:
    """Wasserstein GAN with weight clipping on MNIST (Arjovsky et al., 2017).

    The paper's learning rate is low and only every sixth update is the generator's, so on a laptop
    it is the number of updates that counts: batches are of 16 images, not the paper's 64.
    """
    return Recipe("", Data("mnist"), _wasserstein_clipped(), Training(epochs=30, batch=16))


@recipe
def wgan_gp_mnist() -> Recipe:
    """Wasserstein GAN with gradient penalty on MNIST (Gulrajani et al., 2017)."""
    return Recipe("", Data("mnist"), _wasserstein_penalised(), Training(epochs=30, batch=50))


@recipe
def gan_stacked_mnist() -> Recipe:
    """The GAN of gan-mnist on three digits at once, of whose 1,000 modes it may lose many.

    After five epochs 987 were found among 26,000 samples; docs/failures-of-gans.md has remedies.
    """
    from naqsh.methods import gan

    return Recipe("", Data("stacked-mnist"), gan.Spec(), Training(epochs=20))


def _with_r1(gamma: float) -> MethodSpec:
    """Mescheder et al., 2018, arXiv:1801.04406, equation 9; ten times the rate of gan-mnist."""
    from naqsh.methods import gan

    adam = Adam(2e-3, (0.5, 0.999))
    return gan.Spec(r1=gamma, generator=adam, critic=adam)


@recipe
def gan_r1_mnist() -> Recipe:
    """GAN on MNIST whose critic's slope at real images is penalised, for minutes of a laptop.

    The networks are those of gan-mnist. After 1,500 steps, 2.3 minutes of one core, the Frechet
    distance (features mnist) is 0.28 to 0.46, of gan-mnist 2.7 (docs/experiments.md).
    """
    return Recipe("", Data("mnist"), _with_r1(1.0), Training(epochs=20, ema=0.995))


@recipe
def gan_digits() -> Recipe:
    """The GAN of gan-mnist on scikit-learn's small digits, 16x16; needs no download."""
    from naqsh.methods import gan

    return Recipe("", Data("digits"), gan.Spec(), Training(epochs=150))


@recipe
def gan_r1_digits() -> Recipe:
    """The GAN of gan-r1-mnist on the small digits, by a smaller penalty (docs/experiments.md)."""
    return Recipe("", Data("digits"), _with_r1(0.1), Training(epochs=150, ema=0.99))


@recipe
def wgan_digits() -> Recipe:
    """The Wasserstein GAN of wgan-mnist on the small digits."""
    return Recipe("", Data("digits"), _wasserstein_clipped(), Training(epochs=300, batch=16))


@recipe
def wgan_gp_digits() -> Recipe:
    """The Wasserstein GAN with gradient penalty of wgan-gp-mnist on the small digits.

    For minutes of a laptop: ten times the paper's rate, two updates of the critic to one of the
    generator, and averaged weights (docs/experiments.md).
    """
    spec = _wasserstein_penalised(rate=1e-3, n_critic=2)
    return Recipe("", Data("digits"), spec, Training(epochs=300, batch=50, ema=0.99))


@recipe
def r3gan_mnist() -> Recipe:
    """R3GAN, a GAN that converges by its loss alone, on MNIST (Huang et al., 2024).

    Networks that a laptop can train: residual blocks at 14x14 and 7x7 alone. 17.5 minutes on one
    core gave a Frechet distance (features `mnist`, 10,000 samples) of 0.88.
    """
    from naqsh.methods import r3gan

    training = Training(epochs=9, schedule="cosine", ema=0.999)
    return Recipe("", Data("mnist"), r3gan.Spec(), training)


@recipe
def r3gan_digits() -> Recipe:
    """The R3GAN of r3gan-mnist on the small digits."""
    from naqsh.methods import r3gan

    training = Training(epochs=150, schedule="cosine", ema=0.99)
    return Recipe("", Data("digits"), r3gan.Spec(), training)


@recipe
def gan_cifar10() -> Recipe:
    """The GAN of gan-mnist, twice as wide, on CIFAR-10."""
    from naqsh.methods import gan

    return Recipe("", Data("cifar10", flip=True), gan.Spec(width=2), Training(epochs=50))


@recipe
def wgan_gp_cifar10() -> Recipe:
    """The Wasserstein GAN with gradient penalty, twice as wide, on CIFAR-10."""
    return Recipe(
        "", Data("cifar10", flip=True), _wasserstein_penalised(width=2), Training(epochs=100)
    )


@recipe
def gan_ring() -> Recipe:
    """GAN on a ring of 8 Gaussians in the plane, of which it may lose some."""
    from naqsh.methods import gan

    adam = Adam(1e-3, (0.5, 0.999))
    spec = gan.Spec(latent=2, generator=adam, critic=adam)
    return Recipe("", Data("ring"), spec, Training(steps=5000, batch=256))


@recipe
def gan_grid() -> Recipe:
    """The GAN of gan-ring on a grid of 25 Gaussians."""
    return dataclasses.replace(gan_ring(), name="", data=Data("grid"))


@recipe
def wgan_gp_ring() -> Recipe:
    """Wasserstein GAN with gradient penalty on the ring of 8 Gaussians."""
    from naqsh.methods import gan

    adam = Adam(1e-3, (0.0, 0.9))
    spec = gan.Spec(
        objective="wasserstein",
        latent=2,
        n_critic=5,
        gradient_penalty=1.0,
        generator=adam,
        critic=adam,
    )
    return Recipe("", Data("ring"), spec, Training(steps=2000, batch=256))


@recipe
def ssgan_mnist() -> Recipe:
    """Self-supervised GAN by rotation on MNIST, padded to 32x32 inside (Chen et al., 2019).

    The published networks, 128 and 256 channels wide: for a GPU. With method.width 32 a laptop has
    a sixteenth of the work: 12 minutes of one core are 653 steps there, whose digits can be read
    (Frechet distance 3.1 by the features `mnist`, where gan-mnist has 0.69 by then). 1,200 images
    are held out, on which angles are asked for.
    """
    from naqsh.methods import ssgan

    training = Training(epochs=20, validation=0.02)
    return Recipe("", Data("mnist"), ssgan.Spec(ceiling=True), training)


@recipe
def ssgan_digits() -> Recipe:
    """The self-supervised GAN of ssgan-mnist, an eighth as wide, on the small digits."""
    from naqsh.methods import ssgan

    training = Training(epochs=60, validation=0.1)
    return Recipe("", Data("digits"), ssgan.Spec(width=16, ceiling=True), training)


@recipe
def ssgan_cifar10() -> Recipe:
    """Self-supervised GAN by rotation on CIFAR-10 (Chen et al., 2019); for a GPU.

    Five critic updates to one of the generator, 100,000 of these, the rates to 0 by a line: as the
    library mimicry has it, whose FID is 14.65 by 50,000 samples.
    """
    from naqsh.methods import ssgan

    training = Training(steps=100_000, schedule="linear")
    return Recipe("", Data("cifar10", flip=True), ssgan.Spec(n_critic=5), training)
