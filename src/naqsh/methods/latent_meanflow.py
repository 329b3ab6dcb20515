r"""MeanFlow in an autoencoder's latents: images in one evaluation of a small network.

How it learns is said in :mod:`naqsh.methods.meanflow`, what, in
:mod:`naqsh.methods.latent_diffusion`: :math:`x_0 = (E(x) - m) / s` with a frozen autoencoder E, D.
A sample is :math:`D(s\, x_0 + m)`, one pass of the network and one of the decoder. The paper's
models of photographs are of latents, too.

References:
    Mean Flows for One-step Generative Modeling (Geng et al., 2025), arXiv:2505.13447, section 5.
    High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022),
    arXiv:2112.10752, section 3.
"""

from dataclasses import dataclass

from naqsh.core.spec import Layout, Parent, Shape
from naqsh.methods import meanflow
from naqsh.methods.latent_diffusion import InLatents, space_of


@dataclass(frozen=True)
class Spec(meanflow.Spec):
    """The hyperparameters of MeanFlow of latents.

    Attributes:
        autoencoder: the run of the autoencoder.
        width: channels of the U-Net's first level, at the latents' own side.
        multipliers: the width of each level over `width`, finest first.
    """

    autoencoder: Parent = Parent()
    width: int = 48
    multipliers: tuple[int, ...] = (1,)

    def on(self, layout: Layout, classes: int) -> "LatentMeanFlow":
        """The method on its autoencoder, told `classes` labels.

        Raises:
            ValueError: no autoencoder of such images.
        """
        return LatentMeanFlow(self, layout.shape, space_of(self.autoencoder, layout), classes)


class LatentMeanFlow(InLatents, meanflow.MeanFlow):
    """MeanFlow of an autoencoder's latents.

    Args:
        spec: its hyperparameters.
        shape: (C, H, W) of the images.
        space: (C, H, W) of the latents.
        classes: how many labels the network is conditioned on; 0 for none.
    """

    def __init__(self, spec: Spec, shape: Shape, space: Shape, classes: int) -> None:
        super().__init__(spec, shape, space, classes)
        self.stand_on(spec.autoencoder)
