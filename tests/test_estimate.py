import gc
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from naqsh.core.batch import Batch
from naqsh.core.method import Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import SGD, Adam, RMSprop
from naqsh.core.readable import readable_bytes
from naqsh.core.spec import Layout, MethodSpec, Parent
from naqsh.recipes import all_recipes, by_name
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.training.ema import Average
from naqsh.training.estimate import estimate

DIGITS = (1, 16, 16)


def held(recipe: Recipe, shape, count: int) -> int:
    """Bytes of tensors that training really holds at its fullest: all that lives after a backward.

    Counted by storage, not by formula: weights, gradients, optimiser state and average as they lie
    in memory, and what autograd saved for backward in the phase that saves most.
    """
    method = recipe.method.build(Layout(shape, tuple("0123456789"))).train()
    average = Average(method, 0.9) if recipe.training.ema else None
    saved_most, optimizers = 0, []
    for phase in method.phases():
        method.requires_grad_(False)
        parameters = [p for m in phase.modules for p in m.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        batch = Batch(torch.zeros(count, *shape), torch.zeros(count).long(), Noise(0, count))
        saved: dict[int, torch.UntypedStorage] = {}
        own = {p.untyped_storage().data_ptr() for p in method.parameters()}

        def keep(tensor, saved=saved, own=own):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = storage  # alive, so that no other takes its place
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            total = phase.loss(batch, 0)["total"]
        saved_most = max(saved_most, sum(storage.nbytes() for storage in saved.values()))
        total.backward()
        optimizer = phase.optimizer.build(parameters)
        optimizer.step()
        optimizers.append(optimizer)
    tensors = [*method.parameters(), *(p.grad for p in method.parameters() if p.grad is not None)]
    tensors += [t for o in optimizers for s in o.state.values() for t in s.values()]
    tensors += list(average.method.parameters()) if average else []
    gc.collect()
    return saved_most + sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gan-digits", {}),
        ("gan-digits", {"training.ema": 0.99, "method.spectral_norm": True}),
        ("wgan-digits", {"training.batch": 256}),
        ("wgan-gp-digits", {}),
        ("wgan-gp-digits", {"training.batch": 512}),
        ("gan-mnist", {"training.batch": 512}),
    ],
)
def test_memory_is_near_the_truth(name, changes):
    recipe = by_name(name).override(changes)
    shape = (1, 28, 28) if name.endswith("mnist") else DIGITS
    told = estimate(recipe, Layout(shape, tuple("0123456789"))).memory
    truth = held(recipe, shape, recipe.training.batch)
    assert 0.95 < told / truth < 1.05, (readable_bytes(told), readable_bytes(truth))


def layout(recipe):
    """Of images such as the recipe's, with a second domain for what translates."""
    if recipe.method.kind in ("cyclegan", "pix2pix"):
        side = recipe.data.size or DIGITS[1]
        shape = (3, side, side)
        return Layout(shape, second=shape, paired=recipe.method.kind == "pix2pix")
    if recipe.data.text != "none":
        return Layout((3, recipe.data.size, recipe.data.size), caption=recipe.data.text_size)
    shape = (3, 32, 32) if recipe.name.endswith("cifar10") else DIGITS
    return Layout(shape, tuple("0123456789"))


def standing(recipe):
    """A recipe on its parent, as training would fill it in."""
    field, name = {
        "stackgan2": ("first", recipe.name.removesuffix("2") + "1"),
        "latent_diffusion": ("autoencoder", recipe.name.replace("ldm", "autoencoder")),
        "latent_meanflow": ("autoencoder", recipe.name.replace("meanflow-latent", "autoencoder")),
    }.get(recipe.method.kind, ("", ""))
    if not field:
        return recipe
    first = by_name(name)
    seen = layout(first) if field == "first" else Layout(layout(recipe).shape)
    parent = Parent("first", method=first.method, layout=seen)
    return replace(recipe, method=replace(recipe.method, **{field: parent}))


@pytest.mark.parametrize("name", sorted(all_recipes()))
def test_parameters_and_layers_are_exact(name):
    recipe = standing(by_name(name))
    cost = estimate(recipe, layout(recipe))
    method = recipe.method.build(layout(recipe))
    assert cost.parameters == sum(p.numel() for p in method.parameters())
    for phase in method.phases():
        layers = cost.networks[phase.name]
        assert sum(layer.parameters for layer in layers) == sum(
            p.numel() for m in phase.modules for p in m.parameters()
        )
        assert len({layer.name for layer in layers}) == len(layers)
        assert all(isinstance(size, int) for layer in layers for size in layer.output or [])
    assert cost.to_dict()["networks"].keys() == cost.networks.keys()


def test_layers_of_the_discriminator_are_told_as_they_run():
    layers = estimate(by_name("gan-digits"), Layout(DIGITS, tuple("0123456789"))).networks["critic"]
    assert [layer.name for layer in layers][:3] == ["conv1", "relu1", "conv2"]
    assert (layers[0].kind, layers[0].output) == ("Conv2d", (32, 8, 8))
    assert layers[0].parameters == 32 * (16 + 1)
    assert layers[-1].output == ()  # one score an image


def test_the_batch_is_cut_by_accumulation_and_ranks():
    recipe = by_name("gan-digits").override({"training.batch": 1024})
    whole = estimate(recipe, Layout(DIGITS, tuple("0123456789"))).memory
    small = estimate(
        recipe.override({"training.batch": 256}), Layout(DIGITS, tuple("0123456789"))
    ).memory
    assert small < whole
    assert (
        estimate(
            recipe.override({"training.accumulate": 4}), Layout(DIGITS, tuple("0123456789"))
        ).memory
        == small
    )
    assert estimate(recipe, Layout(DIGITS, tuple("0123456789")), ranks=4).memory == small


@dataclass(frozen=True)
class Spec(MethodSpec):
    """A method of one layer whose loss is given."""

    loss: str = "fine"
    optimizer: object = Adam()

    def build(self, layout):
        return Tiny(self, layout.shape)


class Tiny(Method):
    def __init__(self, spec, shape):
        super().__init__(shape)
        self.spec = spec
        self.layer = nn.Linear(shape[0] * shape[1] * shape[2], 1)

    def phases(self):
        return [Phase("only", [self.layer], getattr(self, self.spec.loss), self.spec.optimizer)]

    def fine(self, batch, step):
        return {"total": self.layer(batch.images.flatten(1)).square().mean()}

    def reads(self, batch, step):
        loss = self.fine(batch, step)["total"]
        return {"total": loss / loss.item()}

    def branches(self, batch, step):
        loss = self.fine(batch, step)["total"]
        return {"total": -loss if loss > 1 else loss}

    def needs_two(self, batch, step):
        if len(batch) < 2:
            raise ValueError("needs two images")
        return self.fine(batch, step)


def tiny(training: Training = Training(), **numbers) -> Recipe:
    return Recipe("tiny", Data("digits"), Spec(**numbers), training)


@pytest.mark.parametrize("loss", ["reads", "branches"])
def test_a_step_that_waits_for_the_device_fails_here(loss):
    estimate(tiny(), Layout(DIGITS))
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        estimate(tiny(loss=loss), Layout(DIGITS))


def test_one_picture_at_a_time_is_tried():
    estimate(tiny(Training(batch=2), loss="needs_two"), Layout(DIGITS))
    for training in (Training(batch=1), Training(batch=8, accumulate=8)):
        with pytest.raises(ValueError, match=r"one image at a time is too few \(needs two"):
            estimate(tiny(training, loss="needs_two"), Layout(DIGITS))
        estimate(tiny(training), Layout(DIGITS))
    # Ranks of one image each are served: batch normalisation takes its statistics over all of them.
    estimate(tiny(Training(batch=4), loss="needs_two"), Layout(DIGITS), ranks=4)
    with pytest.raises(ValueError, match=r"over training\.accumulate must be at least 2"):
        estimate(tiny(Training(batch=4, accumulate=4), loss="needs_two"), Layout(DIGITS))


@pytest.mark.parametrize(
    ("optimizer", "copies"),
    [(SGD(0.1), 2), (SGD(0.1, momentum=0.9), 3), (RMSprop(), 3), (Adam(), 4)],
)
def test_optimiser_state_is_counted(optimizer, copies):
    weights = (256 + 1) * 4
    told = estimate(tiny(Training(batch=2), optimizer=optimizer), Layout(DIGITS)).memory
    batch = told - copies * weights
    assert 0 < batch < 3 * 2 * 256 * 4
    plain = estimate(tiny(Training(batch=2), optimizer=SGD(0.1)), Layout(DIGITS)).memory
    assert told == plain + (copies - 2) * weights
    averaged = tiny(Training(batch=2, ema=0.9), optimizer=optimizer)
    assert estimate(averaged, Layout(DIGITS)).memory == told + weights


def test_the_size_of_the_pictures_must_fit():
    with pytest.raises(ValueError, match="sides must divide by 4, got 30x30"):
        estimate(by_name("gan-digits"), Layout((1, 30, 30), tuple("0123456789")))


def test_readable_bytes():
    assert [readable_bytes(n) for n in (0, 1, 1000, 1536, 5 << 20, 3 << 30, 7 << 40)] == [
        *("0 B", "1 B", "1000 B", "1.5 KiB", "5 MiB", "3 GiB", "7 TiB")
    ]
    assert readable_bytes(1 << 60).endswith("TiB")


def test_memory_is_told_before_images_are_made_large(alone, monkeypatch):
    from naqsh import api
    from naqsh.core.errors import NaqshError
    from naqsh.runs import origin

    monkeypatch.setattr(origin, "load", lambda *_: pytest.fail("images were loaded"))
    changes = {"data.size": 4096, "training.batch": 4096}
    with pytest.raises(NaqshError, match=r"images of 4096x4096x1: training needs about .* memory"):
        api.train("vae-digits", out=alone / "r", overrides=changes, device="cpu", quiet=True)
    assert not (alone / "r" / "run.json").exists()
