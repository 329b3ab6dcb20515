"""Adversarial networks: GANs and Wasserstein GANs.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

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


def _wasserstein_penalised(width: int = 1) -> MethodSpec:
    """Gulrajani et al., 2017, algorithm 1."""
    from naqsh.methods import gan

    adam = Adam(1e-4, (0.0, 0.9))
    return gan.Spec(
        objective="wasserstein",
        width=width,
        n_critic=5,
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
def gan_digits() -> Recipe:
    """The GAN of gan-mnist on scikit-learn's small digits, 16x16; needs no download."""
    from naqsh.methods import gan

    return Recipe("", Data("digits"), gan.Spec(), Training(epochs=150))


@recipe
def wgan_digits() -> Recipe:
    """The Wasserstein GAN of wgan-mnist on the small digits."""
    return Recipe("", Data("digits"), _wasserstein_clipped(), Training(epochs=300, batch=16))


@recipe
def wgan_gp_digits() -> Recipe:
    """The Wasserstein GAN with gradient penalty of wgan-gp-mnist on the small digits."""
    return Recipe("", Data("digits"), _wasserstein_penalised(), Training(epochs=300, batch=50))


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
