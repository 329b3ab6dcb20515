"""Images in one evaluation: MeanFlow.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from dataclasses import replace

from naqsh.core.optimizers import Muon
from naqsh.recipes.diffusion import DIGITS, DIGITS_OPTIMIZER, MNIST
from naqsh.recipes.recipe import Data, Recipe, recipe


@recipe
def meanflow_digits() -> Recipe:
    """MeanFlow on scikit-learn's small digits, told labels, in one evaluation; needs no download.

    Guidance of 2 is built into its target, as in meanflow-mnist.
    """
    from naqsh.methods import meanflow

    spec = meanflow.Spec(
        multipliers=(1, 2, 4), conditional=True, guidance=2.0, optimizer=DIGITS_OPTIMIZER
    )
    return Recipe("", Data("digits"), spec, DIGITS)


@recipe
def meanflow_mnist() -> Recipe:
    """MeanFlow on MNIST (Geng et al., 2025), told labels, by the U-Net of flow-matching-mnist.

    Guidance of 2 is built into its target, and it is trained by Muon: docs/experiments.md.
    """
    from naqsh.methods import meanflow

    spec = meanflow.Spec(conditional=True, guidance=2.0, optimizer=Muon())
    return Recipe("", Data("mnist"), spec, replace(MNIST, warmup=100))
