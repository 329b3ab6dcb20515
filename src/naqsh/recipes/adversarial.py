"""Recipes of the adversarial family."""

from naqsh.recipe import Data, Recipe, Training, recipe
from naqsh.spec import Adam, RMSprop

# Methods import PyTorch, which listing recipes must not: each function imports what it needs.


@recipe
def gan_mnist() -> Recipe:
    """GAN with the non-saturating loss on MNIST (Goodfellow et al., 2014)."""
    from naqsh.methods import gan

    return Recipe("", Data("mnist"), gan.Spec(), Training(epochs=20))


@recipe
def wgan_mnist() -> Recipe:
    """Wasserstein GAN with weight clipping on MNIST (Arjovsky et al., 2017, algorithm 1)."""
    from naqsh.methods import gan

    spec = gan.Spec(
        objective="wasserstein",
        n_critic=5,
        clip=0.01,
        generator=RMSprop(5e-5),
        critic=RMSprop(5e-5),
    )
    return Recipe("", Data("mnist"), spec, Training(epochs=50))


@recipe
def wgan_gp_mnist() -> Recipe:
    """Wasserstein GAN with gradient penalty on MNIST (Gulrajani et al., 2017, algorithm 1)."""
    from naqsh.methods import gan

    spec = gan.Spec(
        objective="wasserstein",
        n_critic=5,
        gradient_penalty=10.0,
        generator=Adam(1e-4, (0.0, 0.9)),
        critic=Adam(1e-4, (0.0, 0.9)),
    )
    return Recipe("", Data("mnist"), spec, Training(epochs=50))
