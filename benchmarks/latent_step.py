"""What latent diffusion costs beside diffusion of pixels: the recipes ldm-mnist and ddpm-mnist.

Timed are a training step of each recipe (its batch, losses, backward, its optimiser, at the
trainer's precision), that of latent diffusion with latents that were made before, as training keeps
them, and with images that are encoded in it, the encoder's part of the latter, and sampling by each
recipe's own sampler, 100 images at once in float32, decoder included, in rounds that alternate;
times are of the processor, ratios of medians. Memory is the estimate that training gives before its
first step. Images and weights are random: time does not depend on them. How good the samples are,
`naqsh evaluate` says.
"""

import dataclasses
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from naqsh import recipes
from naqsh.core.abilities import LearnsLatents
from naqsh.core.batch import Batch
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.precision import autocast, autocast_dtype
from naqsh.core.readable import readable_bytes
from naqsh.core.spec import Layout, Parent
from naqsh.diffusion.method import Denoising
from naqsh.methods.latent_diffusion import LatentDiffusion
from naqsh.methods.latent_diffusion import Spec as LatentSpec
from naqsh.recipes.recipe import Recipe
from naqsh.runs.sampling import SAMPLE_BATCH
from naqsh.training.building import build
from naqsh.training.estimate import estimate

TARGET = 5.0
"""Samples of latents a second over samples of pixels."""

ROUNDS = 3
MNIST = Layout((1, 28, 28), tuple("0123456789"))
CPU = torch.device("cpu")


def recipe(name: str) -> Recipe:
    """A recipe as training completes it: an autoencoder's run is that of its recipe."""
    found = recipes.by_name(name)
    if not isinstance(found.method, LatentSpec):
        return found
    first = recipes.by_name("autoencoder-mnist")
    parent = Parent("first", sha256="0" * 64, method=first.method, layout=MNIST)
    return dataclasses.replace(found, method=dataclasses.replace(found.method, autoencoder=parent))


def batch(count: int, latents: Tensor | None = None) -> Batch:
    """Random images."""
    images = torch.rand(count, *MNIST.shape) * 2 - 1
    return Batch(images, torch.zeros(count).long(), Noise(0, count), latents=latents)


def training_step(method: Method, recipe: Recipe, keeps: bool) -> Callable[[], None]:
    """One update, as the trainer makes it; `keeps`: of latents that were made before."""
    (phase,) = method.phases()
    optimizer = phase.optimizer.build(phase.parameters())
    dtype, count = autocast_dtype(recipe.training.precision, CPU), recipe.training.batch
    kept = None
    if keeps:
        assert isinstance(method, LearnsLatents)
        kept = method.frozen_latents(batch(count).images)

    def step() -> None:
        with autocast(dtype, CPU):
            losses = phase.loss(batch(count, kept), 0)
        losses["total"].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def encoding(method: LatentDiffusion, recipe: Recipe) -> Callable[[], None]:
    """What a step of latent diffusion does before it is one of latents."""
    seen, dtype = batch(recipe.training.batch), autocast_dtype(recipe.training.precision, CPU)

    def encode() -> None:
        with autocast(dtype, CPU):
            method.clean(seen)

    return encode


def sampling(method: Denoising) -> Callable[[], None]:
    """Images by the recipe's own sampler."""

    def sample() -> None:
        with torch.inference_mode():
            method.sample(Noise(0, SAMPLE_BATCH))

    return sample


def timed(work: Callable[[], None]) -> float:
    """Seconds of the processor in one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> int:
    """Print the table; 1 where sampling is slower than the target says."""
    torch.manual_seed(0)
    named = {name: recipe(name) for name in ("ddpm-mnist", "ldm-mnist")}
    works: dict[tuple[str, str], Callable[[], None]] = {}
    for name, of in named.items():
        method = build(of, MNIST)
        assert isinstance(method, Denoising)
        works[name, "step"] = training_step(method, of, isinstance(method, LatentDiffusion))
        works[name, "sampling"] = sampling(method)
        if isinstance(method, LatentDiffusion):
            works[name, "whole step"] = training_step(method, of, keeps=False)
            works[name, "encoding"] = encoding(method, of)
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in works}
    for work in works.values():
        work()
    for _ in range(ROUNDS):
        for key, work in works.items():
            seconds[key].append(timed(work))
    median = {key: statistics.median(times) for key, times in seconds.items()}
    dtype = autocast_dtype("auto", CPU)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {dtype}"
    )
    print(f"{'':<12}{'step':>10}{'memory':>12}{'images/s':>10}{'parameters':>14}")
    for name, of in named.items():
        cost = estimate(of, MNIST)
        drawn = SAMPLE_BATCH / median[name, "sampling"]
        print(
            f"{name:<12}{1000 * median[name, 'step']:>7.1f} ms{readable_bytes(cost.memory):>12}"
            f"{drawn:>10.1f}{cost.parameters:>14,}"
        )
    pixels, latents = named
    step = median[pixels, "step"] / median[latents, "step"]
    faster = median[pixels, "sampling"] / median[latents, "sampling"]
    whole, encoding_alone = median[latents, "whole step"], median[latents, "encoding"]
    print(f"a step of latents is {step:.1f} times as fast")
    print(
        f"with images encoded in it, it takes {1000 * whole:.1f} ms, the encoder "
        f"{1000 * encoding_alone:.1f} of them: {whole / median[latents, 'step']:.2f} times as long"
    )
    print(f"samples of latents are drawn {faster:.1f} times as fast; target {TARGET}")
    return 0 if faster >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
