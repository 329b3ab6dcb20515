"""Denoisers that are told captions: text to image, with classifier-free guidance or without.

A caption's embedding becomes a vector that is added to that of time, so that it reaches every
residual block (:class:`naqsh.networks.conditional.Told`). All of a caption is in that one vector;
which word says what of which place is for the network to find.

References:
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598.
    GLIDE (Nichol et al., 2022), arXiv:2112.10741, section 4: an embedding of the caption in place
    of that of a class.
"""

from torch import Tensor

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Precision, Shape
from naqsh.diffusion.guidance import Interval
from naqsh.diffusion.method import Denoising, DenoisingSpec
from naqsh.diffusion.samplers import Sampler
from naqsh.networks.captions import Captions


class Following(Denoising):
    """A denoiser that is told captions.

    Args:
        spec: its hyperparameters.
        shape: (C, H, W) of the images.
        space: (C, H, W) of x0.
        captions: numbers in the embedding of a caption.
    """

    def __init__(self, spec: DenoisingSpec, shape: Shape, space: Shape, captions: int) -> None:
        super().__init__(spec, shape, space, 0, captions)
        self.captions = Captions(captions)

    def told(self, batch: Batch) -> Tensor:
        """The captions of a batch, shape (N, captions)."""
        return self.captions.of(batch)

    def drawn(self, noise: Noise) -> Tensor:
        """Captions out of those that are kept, shape (N, captions)."""
        return self.captions.draw(noise)

    def keep_captions(self, captions: Tensor) -> None:
        """From now on samples are of these captions, embeddings with shape (N, captions)."""
        self.captions.keep(captions)

    def follow(
        self,
        noise: Noise,
        captions: Tensor,
        sampler: Sampler | None = None,
        guidance: float = 1.0,
        guidance_interval: Interval | None = None,
        precision: Precision = "float32",
    ) -> tuple[Tensor]:
        """Images of captions, embeddings with shape (N, captions); the rest as :meth:`sample`."""
        made = self.denoise(noise, captions, sampler, precision, guidance, guidance_interval)
        return (made,)

    def sample(  # type: ignore[override]  # it knows no labels
        self,
        noise: Noise,
        sampler: Sampler | None = None,
        guidance: float = 1.0,
        guidance_interval: Interval | None = None,
        precision: Precision = "float32",
    ) -> Tensor:
        """Images in [0, 1] with shape (N, C, H, W), each of a caption that it draws.

        Args:
            noise: of N images.
            sampler: by which images are drawn; None is the recipe's.
            guidance: how far a caption's part is exaggerated; 1 is not at all, at half the cost.
            guidance_interval: least and most noise over signal with guidance, such as 0.3,5; there
                is none outside. By default it is everywhere.
            precision: what the network computes in; in bfloat16 rounding makes an image depend a
                little on the batch.
        """
        captions = self.drawn(noise)
        return self.denoise(noise, captions, sampler, precision, guidance, guidance_interval)
