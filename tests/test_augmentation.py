"""Differentiable augmentation against plain loops, and what makes it fit for training."""

from typing import Any

import pytest
import torch
from torch import Tensor

from naqsh.adversarial import augmentation
from naqsh.adversarial.augmentation import AUGMENTATIONS, augmented, cut, recoloured, shifted
from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.methods.gan import GAN, Spec

ALL = tuple(AUGMENTATIONS)


def some(count: int = 5, channels: int = 3, height: int = 6, width: int = 9) -> Tensor:
    return Noise(3, count).uniform(channels, height, width) * 2 - 1


def test_nothing_is_changed_by_strength_zero() -> None:
    images = some()
    none, one = torch.zeros(5), torch.ones(5)
    torch.testing.assert_close(recoloured(images, none, one, one), images, rtol=0, atol=1e-6)
    for dimension in (2, 3):
        assert torch.equal(shifted(images, none.long(), dimension), images)
    assert torch.equal(cut(images, none.long(), none.long(), 0, 0), images)
    assert augmented(images, (), Noise(0, 5)) is images


def test_colours_against_a_loop_over_pixels() -> None:
    images = some(2).double()
    numbers = torch.tensor([[0.2, 0.3, 1.4], [-0.4, 1.7, 0.6]], dtype=torch.float64)
    found = recoloured(images, *numbers.T)
    _, channels, height, width = images.shape
    for n, (brightness, saturation, contrast) in enumerate(numbers.tolist()):
        values = {}
        for i in range(height):
            for j in range(width):
                pixel = [float(images[n, c, i, j]) + brightness for c in range(channels)]
                grey = sum(pixel) / channels
                for c in range(channels):
                    values[c, i, j] = grey + (pixel[c] - grey) * saturation
        mean = sum(values.values()) / len(values)
        for place, value in values.items():
            expected = mean + (value - mean) * contrast
            assert float(found[(n, *place)]) == pytest.approx(expected, abs=1e-12)


def test_translation_against_a_loop_over_pixels() -> None:
    images = some()
    rows, columns = torch.tensor([0, 2, -3, 1, -1]), torch.tensor([0, -1, 4, 0, 2])
    found = shifted(shifted(images, rows, 2), columns, 3)
    count, channels, height, width = images.shape
    for n in range(count):
        for i in range(height):
            for j in range(width):
                y, x = i - int(rows[n]), j - int(columns[n])
                inside = 0 <= y < height and 0 <= x < width
                for c in range(channels):
                    assert float(found[n, c, i, j]) == (float(images[n, c, y, x]) if inside else 0)


def test_cutout_against_a_loop_over_pixels() -> None:
    images = some()
    rows, columns = torch.tensor([0, -2, 4, 1, 2]), torch.tensor([0, 7, -1, 3, 8])
    found = cut(images, rows, columns, 3, 5)
    count, channels, height, width = images.shape
    for n in range(count):
        for i in range(height):
            for j in range(width):
                hole = 0 <= i - int(rows[n]) < 3 and 0 <= j - int(columns[n]) < 5
                for c in range(channels):
                    assert float(found[n, c, i, j]) == (0 if hole else float(images[n, c, i, j]))


def test_numbers_are_drawn_from_the_published_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 16x24 images: moved by up to 2 and 3 pixels, cut by 8x12 about any corner of pixels."""
    noise, images = Noise(7, 4000), torch.ones(4000, 1, 16, 24)
    seen: dict[str, list[Tensor]] = {"recoloured": [], "shifted": [], "cut": []}
    for name, kept in seen.items():

        def note(images: Tensor, *rest: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept += [value for value in rest if isinstance(value, Tensor)]
            return images

        monkeypatch.setattr(augmentation, name, note)
    augmented(images, ALL, noise)
    # Of 4,000 uniform numbers the ends lie within 1 % but for a chance of e^-40.
    ranges = [(-0.5, 0.5), (0.0, 2.0), (0.5, 1.5)]
    for values, (low, high) in zip(seen["recoloured"], ranges, strict=True):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
    for values, most in zip(seen["shifted"], (2, 3), strict=True):
        assert sorted(set(values.tolist())) == list(range(-most, most + 1))
    for values, side in zip(seen["cut"], (16, 24), strict=True):
        assert sorted(set(values.tolist())) == [m - side // 4 for m in range(side + 1)]


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_changed_alike_in_any_batch(name: str) -> None:
    images = some(6)
    whole = augmented(images, (name,), Noise(4, 6))
    assert not torch.equal(whole, images)
    parts = [
        augmented(images[start : start + 2], (name,), Noise(4, 6).part(start, 2))
        for start in (0, 2, 4)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)
    noise = Noise(4, 6)
    augmented(images, (name,), noise)
    assert not torch.equal(augmented(images, (name,), noise), whole)  # the next draws are others


@pytest.mark.parametrize("name", ALL)
def test_gradients_of_both_orders_flow(name: str) -> None:
    """By finite differences in double precision: a penalty of D(T(x)) needs the second."""
    images = some(2, 2, 4, 5).double().requires_grad_()

    def cubes(images: Tensor) -> Tensor:
        changed: Tensor = augmented(images, (name,), Noise(4, 2))
        return changed.pow(3)

    assert torch.autograd.gradcheck(cubes, images)
    assert torch.autograd.gradgradcheck(cubes, images)
    (gradient,) = torch.autograd.grad(cubes(images).sum(), images)
    assert gradient.count_nonzero() > images.numel() / 3


def test_names_are_read_and_unknown_ones_refused() -> None:
    assert augmentation.named("") == ()
    assert augmentation.named("colour,translation, cutout") == ALL
    with pytest.raises(ValueError, match="no augmentation named 'color'; known: colour, transl"):
        augmentation.named("cutout,color")
    with pytest.raises(ValueError, match="named once"):
        augmentation.named("cutout,cutout")


# --- in a GAN -------------------------------------------------------------------------------------

SHAPE = (1, 16, 16)


def batch(count: int = 6, first: int = 0) -> Batch:
    return Batch(Noise(9, count, first).uniform(*SHAPE) * 2 - 1, None, Noise(1, count, first))


def made(**switches: Any) -> GAN:
    torch.manual_seed(0)
    return GAN(Spec(augment=",".join(ALL), **switches), SHAPE)


def test_the_critic_sees_real_and_generated_images_changed_alike() -> None:
    """Both by the same kinds, each by draws of its own, in both phases."""
    method, seen = made(), batch()
    noise = Noise(1, 6)
    with torch.no_grad():
        fakes = method.generator(noise.normal(64))
        images = [augmented(images, ALL, noise) for images in (seen.images, fakes)]
        real, fake = (method.critic(changed) for changed in images)
        losses = method.critic_losses(seen, 0)
        torch.testing.assert_close(losses["total"], method.objective.critic(real, fake))
        noise = Noise(1, 6)
        fakes = augmented(method.generator(noise.normal(64)), ALL, noise)
        expected = method.objective.generator(None, method.critic(fakes))
        torch.testing.assert_close(method.generator_losses(batch(), 1)["total"], expected)


def test_the_real_images_of_a_relative_loss_are_changed_too() -> None:
    method, noise = made(objective="relativistic"), Noise(1, 6)
    with torch.no_grad():
        fake = method.critic(augmented(method.generator(noise.normal(64)), ALL, noise))
        real = method.critic(augmented(batch().images, ALL, noise))
        losses = method.generator_losses(batch(), 1)
    torch.testing.assert_close(losses["total"], method.objective.generator(real, fake))


def test_penalties_are_of_the_images_before_they_are_changed() -> None:
    """Of D(T(x)) by x, image by image."""
    method, seen = made(r1=1.0), batch()
    noise = Noise(1, 6)
    noise.normal(64)
    images = seen.images.clone().requires_grad_()
    changed = augmented(images, ALL, noise)
    squares = []
    for number in range(6):
        score = method.critic(changed[number : number + 1]).sum()
        (gradient,) = torch.autograd.grad(score, images, retain_graph=True)
        squares.append(float(gradient[number].square().sum()))
    found = float(method.critic_losses(seen, 0)["r1"].detach())
    assert found == pytest.approx(sum(squares) / 6 / 2, rel=1e-4)


def test_each_image_of_a_pack_is_changed_by_itself() -> None:
    torch.manual_seed(0)
    method = GAN(Spec(augment="colour,cutout", packing=2), SHAPE)
    noise = Noise(1, 6)
    with torch.no_grad():
        fakes = augmented(method.generator(noise.normal(64)), ("colour", "cutout"), noise)
        packs = torch.stack([torch.cat([fakes[n], fakes[n + 1]]) for n in (0, 2, 4)])
        expected = method.objective.generator(None, method.critic(packs))
        found = method.generator_losses(batch(), 1)["total"]
    torch.testing.assert_close(found, expected)


def test_parts_of_a_batch_see_what_the_whole_would_see() -> None:
    """The critic's gradient of a batch is the mean of those of its parts; it has no normalisation.

    The generator is in evaluation mode: its batch normalisation sees other batches.
    """
    method = made().eval()
    whole = method.critic_losses(batch(), 0)["total"]
    parts = [method.critic_losses(batch(2, first), 0) for first in (0, 2, 4)]
    seen = torch.cat([batch(2, first).images for first in (0, 2, 4)])
    assert torch.equal(seen, batch().images)
    mean = torch.stack([part["total"] for part in parts]).mean()
    torch.testing.assert_close(mean, whole, rtol=1e-5, atol=1e-6)


def test_points_are_not_changed_as_images_are() -> None:
    with pytest.raises(ValueError, match="leave augment out"):
        Spec(augment="cutout").build(Layout((2, 1, 1)))
