"""Text to image: StackGAN in two stages, diffusion, flow matching and a VAE.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from dataclasses import replace
from typing import Any

from naqsh.core.optimizers import Adam
from naqsh.recipes.recipe import Data, Recipe, Training, recipe

SHAPES = Data("shapes", size=32, text="tfidf-words", text_size=1024)
"""What the small recipes of all families are trained on, so that they can be compared.

By these 1,024 numbers a small network reads colours and shapes of two objects off every caption,
also of held-out pairs; by 512, with words in a row, off 0.73 to 0.95 of those of held-out pairs.
"""


def _penalised(steps: int, r1: float = 0.5) -> tuple[dict[str, Any], Training]:
    """What both stages are given where a discriminator soon sees through what is made.

    Hyperparameters beside widths, and how it is trained: by its published ones stage I learnt
    nothing of simple shapes but their grounds. A tenth of the KL's weight leaves conditions room to
    tell of two objects. Few images ask for a larger penalty.
    """
    rates = Adam(lr=1e-3, betas=(0.0, 0.99))
    told = {"kl": 0.2, "generator": rates, "critic": rates, "r1": r1, "r1_every": 4}
    return told, Training(steps=steps, schedule="cosine", ema=0.998)


@recipe
def stackgan_shapes_1() -> Recipe:
    """StackGAN's stage I on rendered shapes, 32x32; needs no download (Zhang et al., 2017).

    An eighth as wide as published, and with a penalty on the discriminator's gradient. A step took
    0.14 s of one core (bfloat16); what came of it stands in docs/systems/stackgan.md.
    """
    from naqsh.methods import stackgan

    told, training = _penalised(steps=30_000)
    return Recipe("", SHAPES, stackgan.Spec(text=256, width=16, critic_width=32, **told), training)


@recipe
def stackgan_shapes_2() -> Recipe:
    """StackGAN's stage II on rendered shapes, 64x64, on a run of stackgan-shapes-1."""
    from naqsh.methods import stackgan2

    told, training = _penalised(steps=5_000)
    data = replace(SHAPES, size=64)
    spec = stackgan2.Spec(text=256, width=16, critic_width=32, blocks=2, **told)
    return Recipe("", data, spec, training)


@recipe
def stackgan_cub_1() -> Recipe:
    """StackGAN's stage I on birds with captions, 64x64 (Zhang et al., 2017); for a GPU.

    The paper's hyperparameters, with a text encoder of the paper's kind, a quarter as wide;
    published embeddings are those of ``--data.text published``, where they are at hand.
    """
    from naqsh.methods import stackgan

    return Recipe(
        "",
        Data("cub", size=64, flip=True, crop=True, text="char-cnn-rnn", text_size=1024),
        stackgan.Spec(),
        Training(epochs=600, schedule="halved", halve_every=50),
    )


@recipe
def stackgan_cub_2() -> Recipe:
    """StackGAN's stage II on birds with captions, 256x256, on a run of stackgan-cub-1; for a GPU.

    The paper's hyperparameters, as those of stage I.
    """
    from naqsh.methods import stackgan2

    return Recipe(
        "",
        Data("cub", size=256, flip=True, crop=True, text="char-cnn-rnn", text_size=1024),
        stackgan2.Spec(),
        Training(epochs=600, schedule="halved", halve_every=100),
    )


BIRDS = Data("cub", size=32, flip=True, crop=True, text="tfidf", text_size=256)
"""Few and hard: what came of them stands in docs/systems/stackgan.md."""


@recipe
def stackgan_cub_small_1() -> Recipe:
    """StackGAN's stage I on birds with captions, 32x32 and narrower, for a laptop."""
    from naqsh.methods import stackgan

    told, training = _penalised(steps=5_000, r1=2.0)
    return Recipe("", BIRDS, stackgan.Spec(width=16, critic_width=32, **told), training)


@recipe
def stackgan_cub_small_2() -> Recipe:
    """StackGAN's stage II on birds with captions, 64x64, on a run of stackgan-cub-small-1."""
    from naqsh.methods import stackgan2

    told, training = _penalised(steps=2_400, r1=2.0)
    spec = stackgan2.Spec(width=16, critic_width=16, blocks=2, **told)
    return Recipe("", replace(BIRDS, size=64), spec, training)


TOLD = Training(
    epochs=10, batch=32, warmup=200, schedule="cosine", clip_norm=1.0, ema=0.999, validation=0.02
)
"""As the small diffusion models of MNIST are trained, by smaller batches for more updates."""


@recipe
def ddpm_shapes() -> Recipe:
    """DDPM on rendered shapes with captions, 32x32 (Ho et al., 2020); needs no download.

    `naqsh sample RUN --caption "a red star" --guidance 2` exaggerates what the caption adds.
    """
    from naqsh.diffusion.schedule import Cosine
    from naqsh.methods import diffusion

    spec = diffusion.Spec(
        Cosine(), parameterisation="v", multipliers=(1, 2, 4), conditional="captions"
    )
    return Recipe("", SHAPES, spec, TOLD)


@recipe
def flow_matching_shapes() -> Recipe:
    """Flow matching on rendered shapes with captions, 32x32, by the network of ddpm-shapes."""
    from naqsh.diffusion.schedule import FlowMatching
    from naqsh.methods import diffusion

    spec = diffusion.Spec(
        FlowMatching(),
        parameterisation="velocity",
        multipliers=(1, 2, 4),
        conditional="captions",
        sampler="heun",
        steps=10,
    )
    return Recipe("", SHAPES, spec, TOLD)


@recipe
def vae_shapes() -> Recipe:
    """Conditional VAE on rendered shapes with captions, 32x32 (Sohn et al., 2015).

    Pixels begin with a deviation of 1 that is learnt: latents cost more than they give until the
    captions are read. From 0.1 on, latents held everything and captions were never looked at.
    """
    from naqsh.methods import cvae

    spec = cvae.Spec(
        conditional="captions",
        likelihood="gaussian",
        scale=1.0,
        learn_scale=True,
        latent=32,
        width=2,
        optimizer=Adam(1e-3),
    )
    return Recipe("", SHAPES, spec, Training(epochs=20, schedule="cosine"))
