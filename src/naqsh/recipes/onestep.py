"""Images in one evaluation: MeanFlow.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from naqsh.recipes.diffusion import DIGITS, DIGITS_RATE, MNIST
from naqsh.recipes.recipe import Data, Recipe, recipe


@recipe
def meanflow_digits() -> Recipe:
    """MeanFlow on scikit-learn's small digits, 16x16, in one evaluation; needs no download."""
    from naqsh.methods import meanflow

    spec = meanflow.Spec(multipliers=(1, 2, 4), optimizer=DIGITS_RATE)
    return Recipe("", Data("digits"), spec, DIGITS)


@recipe
def meanflow_mnist() -> Recipe:
    """MeanFlow on MNIST (Geng et al., 2025) by the U-Net of flow-matching-mnist."""
    from naqsh.methods import meanflow

    return Recipe("", Data("mnist"), meanflow.Spec(), MNIST)
