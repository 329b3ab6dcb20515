"""Diffusion models and flow matching.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from dataclasses import replace

from naqsh.core.optimizers import Adam, Muon
from naqsh.core.spec import MethodSpec
from naqsh.recipes.recipe import Data, Recipe, Training, recipe

MNIST = Training(
    epochs=10,
    batch=64,
    warmup=500,
    schedule="cosine",
    clip_norm=1.0,
    ema=0.999,
    validation=0.02,
)
"""For a laptop, where there are few updates: small batches, and a rate that falls to 0."""

DIGITS = Training(epochs=75, batch=64, warmup=30, schedule="cosine", clip_norm=1.0, ema=0.99)
"""The same for a set of 1,500 small images."""

DIGITS_OPTIMIZER = Muon()
"""Of the small network for them: docs/experiments.md."""


@recipe
def ddpm_mnist() -> Recipe:
    """DDPM on MNIST (Ho et al., 2020) by a U-Net of 1.2 million parameters.

    It took 22 minutes on two cores with bfloat16 and reached a Fréchet distance (features mnist) of
    0.25 (10,000 samples of 20 evaluations each); gan-mnist had 0.59.
    """
    from naqsh.methods import diffusion

    return Recipe("", Data("mnist"), diffusion.Spec(), MNIST)


@recipe
def ddpm_min_snr_mnist() -> Recipe:
    """DDPM on MNIST for minutes: v, weights by min(SNR, 5) (Hang et al., 2023), cosine schedule.

    The network is that of ddpm-mnist, trained by Muon; after 1,000 steps the Frechet distance
    (features mnist) is 0.75 to 0.84, by Adam 1.4 to 1.5 (docs/experiments.md).
    """
    return _for_minutes(conditional=False)


@recipe
def conditional_ddpm_mnist() -> Recipe:
    """DDPM on MNIST conditioned on labels, for guidance (Ho and Salimans, 2022).

    `naqsh sample RUN --label 3 --guidance 2` draws threes. It is ddpm-min-snr-mnist told labels:
    after 1,500 steps, 8.8 minutes of one core, the Frechet distance (features mnist) is 0.23, and
    under guidance of 2 where noise over signal lies in (0.3, 5] 0.063 (docs/editing.md).
    """
    return _for_minutes(conditional=True)


def _for_minutes(conditional: bool) -> Recipe:
    from naqsh.diffusion.schedule import Cosine
    from naqsh.methods import diffusion

    spec = diffusion.Spec(
        Cosine(),
        parameterisation="v",
        weighting="min-snr",
        conditional=conditional,
        optimizer=Muon(),
    )
    return Recipe("", Data("mnist"), spec, replace(MNIST, warmup=100))


@recipe
def flow_matching_mnist() -> Recipe:
    """Flow matching on MNIST (Lipman et al., 2023) by the network of ddpm-mnist."""
    from naqsh.diffusion.schedule import FlowMatching
    from naqsh.methods import diffusion

    spec = diffusion.Spec(
        FlowMatching(),
        parameterisation="velocity",
        weighting="min-snr",
        sampler="heun",
        steps=10,
    )
    return Recipe("", Data("mnist"), spec, MNIST)


@recipe
def ddpm_digits() -> Recipe:
    """DDPM on scikit-learn's small digits, 16x16; needs no download.

    The schedule is the cosine of Nichol and Dhariwal, 2021, which loses small images less quickly
    in noise. It ends in 20,000 times as much noise as signal, where x0 from epsilon is rounding and
    little else; so the network predicts v (Salimans and Ho, 2022). Weights by min(SNR, 5) (Hang et
    al., 2023) leave those times out where no more than the mean digit can be told: after 1,000
    steps of 16 the Frechet distance (features digits) is 1.4 with them, 1.9 without. By Muon it is
    0.5 after 570 steps of 64, by Adam in the same 80 s of one core 0.6.
    """
    from naqsh.diffusion.schedule import Cosine
    from naqsh.methods import diffusion

    spec = diffusion.Spec(
        Cosine(),
        parameterisation="v",
        weighting="min-snr",
        importance=True,
        multipliers=(1, 2, 4),
        steps=12,
        optimizer=DIGITS_OPTIMIZER,
    )
    return Recipe("", Data("digits"), spec, DIGITS)


@recipe
def edm_digits() -> Recipe:
    """EDM on scikit-learn's small digits (Karras et al., 2022) by the network of ddpm-digits.

    Noise is drawn where so small images are decided, about as much of it as of signal: after 1,000
    steps of 16 the Frechet distance (features digits) is 1.3, by the paper's -1.2 and 1.2 2.2.
    """
    from naqsh.diffusion.schedule import EDM
    from naqsh.methods import diffusion

    spec = diffusion.Spec(
        EDM(mean=0.0, deviation=0.8),
        parameterisation="edm",
        sigma_data=0.64,
        multipliers=(1, 2, 4),
        sampler="heun",
        steps=18,
        optimizer=DIGITS_OPTIMIZER,
    )
    return Recipe("", Data("digits"), spec, DIGITS)


@recipe
def flow_matching_digits() -> Recipe:
    """Flow matching on scikit-learn's small digits (Lipman et al., 2023), as ddpm-digits."""
    from naqsh.diffusion.schedule import FlowMatching
    from naqsh.methods import diffusion

    spec = diffusion.Spec(
        FlowMatching(),
        parameterisation="velocity",
        weighting="min-snr",
        importance=True,
        multipliers=(1, 2, 4),
        sampler="heun",
        steps=10,
        optimizer=DIGITS_OPTIMIZER,
    )
    return Recipe("", Data("digits"), spec, DIGITS)


@recipe
def ddpm_ring() -> Recipe:
    """DDPM on a ring of 8 Gaussians in the plane, by an MLP instead of a U-Net."""
    from naqsh.diffusion.schedule import Cosine
    from naqsh.methods import diffusion

    spec = diffusion.Spec(Cosine(), parameterisation="v", optimizer=Adam(1e-3))
    training = Training(steps=5000, batch=256, schedule="cosine", clip_norm=1.0, ema=0.999)
    return Recipe("", Data("ring"), spec, training)


@recipe
def ddpm_textured_shapes() -> Recipe:
    """DDPM on scenes of textured shapes, whose features `naqsh segment` asks for their outlines.

    Four levels, so that the coarsest sees an object whole; the cosine schedule, which spends few
    of its steps where there is hardly more than noise.
    """
    from naqsh.diffusion.schedule import Cosine
    from naqsh.methods import diffusion

    spec = diffusion.Spec(Cosine(), parameterisation="v", multipliers=(1, 2, 4, 8))
    training = Training(
        epochs=12, batch=32, warmup=200, schedule="cosine", clip_norm=1.0, ema=0.999
    )
    return Recipe("", Data("textured-shapes"), spec, training)


def _papers_network(**changes: object) -> MethodSpec:
    """The network of Ho et al., 2020, appendix B: 35.7 million parameters on 32x32x3."""
    from naqsh.methods import diffusion

    numbers: dict[str, object] = {
        "width": 128,
        "multipliers": (1, 2, 2, 2),
        "blocks": 2,
        "attention": (16,),
        "dropout": 0.1,
        "steps": 25,
    }
    return diffusion.Spec(**(numbers | changes))  # type: ignore[arg-type]


@recipe
def ddpm_cifar10() -> Recipe:
    """DDPM on CIFAR-10 with the paper's hyperparameters (Ho et al., 2020); days on one GPU.

    The paper's images: `naqsh sample RUN --sampler ancestral --steps 1000`.
    """
    spec = _papers_network(optimizer=Adam(2e-4))
    training = Training(steps=800_000, batch=128, warmup=5000, clip_norm=1.0, ema=0.9999)
    return Recipe("", Data("cifar10", flip=True), spec, training)


@recipe
def edm_cifar10() -> Recipe:
    """EDM's preconditioning, noise and sampler on CIFAR-10 (Karras et al., 2022).

    The network is DDPM's, and 20 million images are seen, a tenth of the paper's.
    """
    from naqsh.diffusion.schedule import EDM

    spec = _papers_network(
        schedule=EDM(), parameterisation="edm", sampler="heun", steps=18, optimizer=Adam(4e-4)
    )
    # The average's half-life is half a million images.
    training = Training(epochs=400, batch=128, warmup=4000, clip_norm=1.0, ema=0.9998)
    return Recipe("", Data("cifar10", flip=True), spec, training)
