"""Score-based models: noise conditional score networks on images and on points.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from naqsh.core.optimizers import Adam
from naqsh.core.spec import MethodSpec
from naqsh.recipes.diffusion import DIGITS, DIGITS_OPTIMIZER, MNIST
from naqsh.recipes.recipe import Data, Recipe, Training, recipe


def _ncsn(**changes: object) -> MethodSpec:
    """NCSN's ten levels and 100 steps at each, without a denoising step.

    The score is the network's output over sigma, as in NCSNv2. The paper's network gives the score
    itself, by normalisation that is told the level; a U-Net's last one is not, and with
    `parameterisation` score it learnt eight images half as fast.
    """
    from naqsh.methods import ncsn

    own: dict[str, object] = {"inner": 100, "size": 0.2, "denoise": False}
    return ncsn.Spec(**(own | changes))  # type: ignore[arg-type]


@recipe
def ncsn_digits() -> Recipe:
    """NCSN on scikit-learn's small digits, 16x16; needs no download.

    Ten steps of NCSNv2's size at each level, and a denoising step.
    """
    from naqsh.methods import ncsn

    spec = ncsn.Spec(inner=10, multipliers=(1, 2, 4), optimizer=DIGITS_OPTIMIZER)
    return Recipe("", Data("digits"), spec, DIGITS)


@recipe
def ncsnv2_digits() -> Recipe:
    """NCSNv2 on scikit-learn's small digits, with the 49 levels that its images ask for.

    Three steps at each, 148 evaluations an image. As ddpm-digits, edm-digits, flow-matching-digits
    and ncsn-digits it has one network and one way to train: what differs is the method.
    """
    from naqsh.diffusion.schedule import Geometric
    from naqsh.methods import ncsn

    spec = ncsn.Spec(
        Geometric(17.1, 0.02, 49),
        steps=49,
        inner=3,
        blind=True,
        multipliers=(1, 2, 4),
        optimizer=DIGITS_OPTIMIZER,
    )
    return Recipe("", Data("digits"), spec, DIGITS)


@recipe
def ncsn_mnist() -> Recipe:
    """NCSN on MNIST (Song and Ermon, 2019) by the U-Net of ddpm-mnist.

    Noise from 1 to 0.01 for images in [0, 1], 1,000 evaluations an image.
    """
    return Recipe("", Data("mnist"), _ncsn(), MNIST)


@recipe
def ncsnv2_mnist() -> Recipe:
    """NCSNv2 on MNIST (Song and Ermon, 2020) by the U-Net of ddpm-mnist.

    No two training images are farther apart than 16.9 for values in [0, 1], which asks for 96
    levels; three steps at each, 289 evaluations an image. The network is not told the level: on
    digits, after 220 steps of 16, that made the loss on test images 0.113 instead of 0.108.
    """
    from naqsh.diffusion.schedule import Geometric
    from naqsh.methods import ncsn

    spec = ncsn.Spec(Geometric(33.8, 0.02, 96), steps=96, inner=3, blind=True)
    return Recipe("", Data("mnist"), spec, MNIST)


_LARGE: dict[str, object] = {
    "width": 128,
    "multipliers": (1, 2, 2, 2),
    "blocks": 2,
    "attention": (16,),
}
"""The U-Net of ddpm-cifar10, without dropout."""


@recipe
def ncsn_cifar10() -> Recipe:
    """NCSN on CIFAR-10 with the paper's hyperparameters (Song and Ermon, 2019); needs a GPU.

    But for the network, DDPM's instead of a RefineNet, and its output, which is the score times
    sigma. Weights are not averaged, as there.
    """
    spec = _ncsn(**_LARGE, optimizer=Adam(1e-3))
    return Recipe("", Data("cifar10"), spec, Training(steps=200_000, batch=128))


@recipe
def ncsnv2_cifar10() -> Recipe:
    """NCSNv2 on CIFAR-10 with the paper's hyperparameters (Song and Ermon, 2020); needs a GPU.

    The network is DDPM's instead of a RefineNet. 1,161 evaluations an image.
    """
    from naqsh.diffusion.schedule import Geometric
    from naqsh.methods import ncsn

    spec = ncsn.Spec(
        Geometric(100.0, 0.02, 232),
        steps=232,
        blind=True,
        optimizer=Adam(1e-4),
        **_LARGE,  # type: ignore[arg-type]
    )
    training = Training(steps=300_000, batch=128, ema=0.999)
    return Recipe("", Data("cifar10", flip=True), spec, training)


@recipe
def ncsn_ring() -> Recipe:
    """A score network on a ring of 8 Gaussians in the plane, by an MLP.

    Noise from the largest distance of two points down to the Gaussians' own width: 12 levels, of
    which each has 0.63 times the noise of the one before.
    """
    from naqsh.diffusion.schedule import Geometric
    from naqsh.methods import ncsn

    spec = ncsn.Spec(Geometric(1.4, 0.0067, 12), steps=12, inner=10, optimizer=Adam(1e-3))
    training = Training(steps=5000, batch=256, schedule="cosine", clip_norm=1.0, ema=0.999)
    return Recipe("", Data("ring"), spec, training)
