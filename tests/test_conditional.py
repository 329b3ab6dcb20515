"""Networks that are told labels, against plain loops over images."""

import pytest
import torch
from torch import Tensor, nn

from naqsh.core.world import synchronise_batch_norm
from naqsh.networks import conditional, convnets, points, r3gan, sngan
from naqsh.networks.conditional import Beside, Chain, ClassNorm, Labelled

GENERATORS = {
    "convnets": lambda classes: convnets.generator((1, 8, 8), 6, classes=classes),
    "points": lambda classes: points.generator((2, 1, 1), 6, classes=classes),
    "sngan": lambda classes: sngan.generator((1, 8, 8), 6, 4, classes),
    "r3gan": lambda classes: r3gan.generator((1, 8, 8), 6, 8, classes=classes),
}


def filled(norm: ClassNorm) -> ClassNorm:
    """With scales and shifts that differ by class and channel."""
    nn.init.normal_(norm.table.weight, 1.0)
    return norm


@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 2, 4)])
def test_class_norm_against_a_loop_over_images_and_channels(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = conditional.batch_norm(3, 4, 2 if len(shape) == 4 else 1)
    assert isinstance(norm, ClassNorm)
    filled(norm)
    x, labels = torch.randn(shape), torch.tensor([0, 3, 1, 1, 2, 0, 3])
    found = norm(x, labels)
    table = norm.table.weight.detach()
    for channel in range(3):
        values = x[:, channel].double()
        mean = float(values.mean())
        deviation = (float(((values - mean) ** 2).mean()) + 1e-5) ** 0.5
        for number in range(7):
            scale, shift = (float(table[labels[number], i]) for i in (channel, 3 + channel))
            expected = (x[number, channel] - mean) / deviation * scale + shift
            torch.testing.assert_close(found[number, channel].detach(), expected)


def test_class_norm_begins_as_plain_batch_normalisation() -> None:
    x = torch.randn(5, 3, 4, 4)
    told = conditional.batch_norm(3, 2, 2)
    plain = conditional.batch_norm(3, 0, 2)
    assert isinstance(plain, nn.BatchNorm2d)
    torch.testing.assert_close(told(x, torch.tensor([0, 1, 1, 0, 1])), plain(x))


def test_class_norm_takes_statistics_over_all_ranks_too() -> None:
    """Of one rank the same as without; its normalisation has no scale of its own."""
    x, labels = torch.randn(5, 3, 4, 4), torch.tensor([0, 1, 1, 0, 1])
    told = filled(ClassNorm(nn.BatchNorm2d(3, affine=False), 3, 2))
    expected = told(x, labels)
    told.norm.reset_running_stats()
    synchronise_batch_norm(told)
    torch.testing.assert_close(told(x, labels), expected, rtol=1e-5, atol=1e-5)
    assert not isinstance(told.norm, nn.BatchNorm2d)
    kept = told.norm.running_mean.view(1, -1, 1, 1), told.norm.running_var.view(1, -1, 1, 1)
    scale, shift = told.table(labels)[..., None, None].chunk(2, 1)
    expected = (x - kept[0]) / (kept[1] + 1e-5).sqrt() * scale + shift
    torch.testing.assert_close(told.eval()(x, labels), expected, rtol=1e-5, atol=1e-5)


def test_an_embedding_stands_beside_the_latent() -> None:
    beside = Beside(3, 2)
    latents, labels = torch.randn(4, 5), torch.tensor([2, 0, 0, 1])
    found = beside(latents, labels)
    for number, label in enumerate(labels.tolist()):
        expected = torch.cat([latents[number], beside.table.weight[label]])
        assert torch.equal(found[number], expected)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generators_image_depends_on_its_own_label_alone(name: str) -> None:
    torch.manual_seed(0)
    network = GENERATORS[name](3).eval()
    for module in network.modules():
        if isinstance(module, ClassNorm):
            filled(module)
        if isinstance(module, r3gan.Block):  # which begins as the identity
            nn.init.normal_(module.narrow.weight, std=0.1)
    latents = torch.randn(4, 6)

    def made(*labels: int) -> Tensor:
        images: Tensor = network(latents, torch.tensor(labels)).detach()
        return images

    first, second = made(0, 1, 2, 0), made(0, 2, 2, 0)
    assert not torch.equal(first[1], second[1])
    for number in (0, 2, 3):
        torch.testing.assert_close(first[number], second[number])


@pytest.mark.parametrize("name", GENERATORS)
def test_without_classes_a_generator_has_no_table(name: str) -> None:
    network = GENERATORS[name](0)
    assert not [key for key in network.state_dict() if "table" in key]
    assert torch.equal(network.eval()(torch.ones(2, 6)), network(torch.ones(2, 6), None))


def test_labels_go_to_those_layers_of_a_chain_that_take_them() -> None:
    class Adds(Labelled):
        def forward(self, x: Tensor, labels: Tensor) -> Tensor:
            return x + labels[:, None]

    chain = Chain({"first": nn.Flatten(), "second": Adds(), "third": Chain({"inner": Adds()})})
    labels = torch.tensor([1.0, 5.0])
    assert chain(torch.zeros(2, 1, 2), labels).tolist() == [[2, 2], [10, 10]]
