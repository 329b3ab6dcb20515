"""Our training step of vae-dsprites against a hand-written loop of the same network, and pythae's.

Ours does all that a run does between two records: images by position, noise by address, the KL of
each latent. The hand-written loop is what one writes in a notebook: a shuffled index, randn and
Adam. pythae's is its trainer's own step, where pythae imports beside this PyTorch. All compute in
float32 on the same layers and 64x64 images, ours with channels last in memory and the peers as
PyTorch makes them; rounds alternate, ratios are of medians.
"""

import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from naqsh import recipes
from naqsh.core.world import World
from naqsh.data import DataSet
from naqsh.networks import vae as networks
from naqsh.runs.folder import RunFolder
from naqsh.training.building import build
from naqsh.training.loop import Trainer

TARGET = 1.0
ROUNDS, STEPS, BATCH, LATENT = 15, 10, 64, 10
SHAPE = (1, 64, 64)
CPU = torch.device("cpu")


def ours(pixels: np.ndarray, folder: Path) -> Callable[[], None]:
    """The step of the trainer of vae-dsprites."""
    recipe = recipes.by_name("vae-dsprites").override({"training.precision": "float32"})
    data = DataSet.of("random", pixels)
    method = build(recipe, data.layout)
    folder_ = RunFolder(folder)
    trainer = Trainer(recipe, method, data, folder_, World(0, 1, CPU), display_quiet=True)

    def step() -> None:
        trainer.step()
        if trainer.state.step % 50 == 0:
            # What a record reads; without it the noted losses would pile up.
            trainer.pending.take(trainer.world)

    return step


def layers() -> tuple[nn.Sequential, nn.Sequential]:
    """The networks with weights as PyTorch lays them out unless told otherwise."""
    pair = networks.encoder(SHAPE, LATENT), networks.decoder(SHAPE, LATENT)
    for network in pair:
        nn.Module.to(network, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return pair


def plain(pixels: np.ndarray) -> Callable[[], None]:
    """A hand-written loop."""
    images = torch.from_numpy(pixels)
    order = torch.randperm(len(images))
    encoder, decoder = layers()
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)
    at = 0

    def step() -> None:
        nonlocal at
        x = images[order[at : at + BATCH]].float() / 255
        at = (at + BATCH) % (len(images) - BATCH)
        mean, log_variance = encoder(x).chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        fit = binary_cross_entropy_with_logits(decoder(z), x, reduction="sum") / BATCH
        kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2 / BATCH
        optimizer.zero_grad()
        (fit + kl).backward()
        optimizer.step()

    return step


def pythae(pixels: np.ndarray, folder: Path) -> Callable[[], None] | None:
    """One step of pythae's trainer on our layers; None where pythae does not import."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pythae.data.datasets import BaseDataset
            from pythae.models import VAE, VAEConfig
            from pythae.models.base.base_utils import ModelOutput
            from pythae.models.nn import BaseDecoder, BaseEncoder
            from pythae.trainers import BaseTrainer, BaseTrainerConfig
    except ImportError as error:
        print(f"pythae is not here: {error}")
        return None
    logging.disable(logging.INFO)

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers()[0]

        def forward(self, x: torch.Tensor) -> ModelOutput:
            mean, log_variance = self.layers(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers()[1]

        def forward(self, z: torch.Tensor) -> ModelOutput:
            # Its Bernoulli loss takes probabilities.
            return ModelOutput(reconstruction=self.layers(z).sigmoid())

    model = VAE(
        VAEConfig(input_dim=SHAPE, latent_dim=LATENT, reconstruction_loss="bce"),
        encoder=Encoder(),
        decoder=Decoder(),
    )
    config = BaseTrainerConfig(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        learning_rate=1e-4,
        optimizer_cls="Adam",
        no_cuda=True,
    )
    images = torch.from_numpy(pixels).float() / 255
    trainer = BaseTrainer(model, BaseDataset(images, torch.zeros(len(images))), None, config)
    trainer.prepare_training()
    model.train()

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        while True:
            yield from trainer.train_loader

    stream = batches()

    def step() -> None:
        # The body of its train_step, which itself goes over a whole epoch.
        inputs = trainer._set_inputs_to_device(next(stream))
        output = trainer.model(inputs, epoch=1, dataset_size=len(images), uses_ddp=False)
        trainer._optimizers_step(output)
        output.loss.item()

    return step


def timed(step: Callable[[], None]) -> float:
    """Seconds a step, over STEPS steps."""
    begun = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - begun) / STEPS


def main() -> int:
    pixels = np.random.default_rng(0).integers(0, 2, (4096, *SHAPE), dtype=np.uint8) * 255
    with tempfile.TemporaryDirectory() as folder:
        steps = {"ours": ours(pixels, Path(folder) / "ours"), "hand-written loop": plain(pixels)}
        other = pythae(pixels, Path(folder) / "pythae")
        if other:
            steps["pythae"] = other
        for step in steps.values():
            timed(step)
        rounds = [{name: timed(step) for name, step in steps.items()} for _ in range(ROUNDS)]
    seconds = {name: statistics.median(one[name] for one in rounds) for name in steps}
    for name, value in seconds.items():
        print(f"{name}: {value * 1e3:.1f} ms a step ({BATCH / value:,.0f} images/s)")
    ratio = min(value for name, value in seconds.items() if name != "ours") / seconds["ours"]
    print(f"vae_step: ratio {ratio:.2f} (target {TARGET})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
