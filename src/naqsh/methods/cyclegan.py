r"""CycleGAN: two domains of images without pairs, each translated into the other.

Generators :math:`G_B` (from A to B) and :math:`G_A` (back), discriminators :math:`D_A, D_B` that
score patches. With least squares for the players, every expectation a mean over batch and patches:

.. math::
   L_G &= E (D_B(G_B(a)) - 1)^2 + E (D_A(G_A(b)) - 1)^2 \\
       &+ \lambda\,\bigl(E |G_A(G_B(a)) - a| + E |G_B(G_A(b)) - b|\bigr)
        + \lambda\, i\,\bigl(E |G_B(b) - b| + E |G_A(a) - a|\bigr) \\
   L_D &= \tfrac12 \bigl(E (D_A(a) - 1)^2 + E D_A(\tilde a)^2\bigr)
        + \tfrac12 \bigl(E (D_B(b) - 1)^2 + E D_B(\tilde b)^2\bigr)

The cycle forbids that all of A becomes one image of B; it does not say which: a generator may hide
what it needs for the way back in noise that nobody sees. The identity term keeps colours.

One step is both generators' update, then both discriminators' on *the same* fakes, which went
through a pool of past ones. The generators' phase keeps its fakes for the other, so each is made
once a step. Where two images go through one network they go together: normalisation is of each
image by itself, so this changes no number but by rounding.

References:
    Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al.,
    2017), arXiv:1703.10593, equations 1 to 3, sections 4 and 5.2, appendix 7.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.once import OnceAStep
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.networks import patchgan, resnet
from naqsh.networks.pool import Pool


@dataclass(frozen=True)
class Spec(MethodSpec):
    """Hyperparameters of CycleGAN.

    Attributes:
        width: channels of the generators' finest features.
        blocks: residual blocks of a generator; None takes 6 below 256 pixels and 9 from there on.
        upsample: how a generator comes back to full size; nearest, with a convolution after it,
            leaves no checkerboard.
        critic_width: channels of the discriminators' first layer.
        strides: convolutions of stride 2 in a discriminator, and with it the size of its patches;
            None takes what suits the images.
        cycle: lambda, the weight of the way there and back.
        identity: weight of leaving an image of the target domain as it is, as a part of lambda.
        pool: past fakes of each domain that the discriminators see; 0 shows the newest alone.
        generator: the optimiser of both generators.
        critic: the optimiser of both discriminators.
    """

    width: int = 64
    blocks: int | None = None
    upsample: Literal["transposed", "nearest"] = "transposed"
    critic_width: int = 64
    strides: int | None = None
    cycle: float = 10.0
    identity: float = 0.5
    pool: int = 50
    generator: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))
    critic: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))

    def __post_init__(self) -> None:
        if min(self.width, self.critic_width) < 1:
            raise ValueError("width and critic_width must be at least 1")
        if (self.blocks or 0) < 0 or self.pool < 0:
            raise ValueError("blocks and pool must be at least 0")
        if self.strides is not None and self.strides < 1:
            raise ValueError(f"strides must be at least 1, got {self.strides}")
        if self.cycle < 0 or self.identity < 0:
            raise ValueError("cycle and identity must be at least 0")

    def tiny(self) -> Self:
        """The same with narrow networks, one block, and a pool that is soon full."""
        return replace(self, width=4, critic_width=4, blocks=1, pool=min(self.pool, 10))

    def build(self, layout: Layout) -> "CycleGAN":
        """The method with fresh networks; labels are not used.

        Raises:
            ValueError: there is no second domain, its images have other sides, or the sides do not
                suit the networks.
        """
        if layout.second is None:
            raise ValueError(
                "it needs a second domain: a folder with A and B, or with trainA and trainB"
            )
        (colours, *sides), (others, *second) = layout.shape, layout.second
        if sides != second:
            raise ValueError(
                f"domain A has images of {sides[0]}x{sides[1]}, B of {second[0]}x{second[1]}; give "
                "data.size"
            )
        if any(side % resnet.MULTIPLE or side < resnet.LEAST for side in sides):
            raise ValueError(
                f"sides must divide by 4 and be at least 8, got {sides[0]}x{sides[1]}; give "
                "data.size, e.g. 64"
            )
        if self.identity and colours != others:
            raise ValueError(
                f"domain A has {colours} channels and B {others}, so no image can be left as it "
                "is; give data.channels, or method.identity 0"
            )
        return CycleGAN(self, layout.shape, layout.second)


class CycleGAN(Method):
    """Two generators and two discriminators, trained in two phases."""

    directions = ("B", "A")
    multiple = resnet.MULTIPLE
    least = resnet.LEAST

    def __init__(self, spec: Spec, first: Shape, second: Shape) -> None:
        super().__init__(first)
        self.spec = spec
        domains = {"a": first, "b": second}
        blocks = spec.blocks if spec.blocks is not None else 9 if min(first[1:]) >= 256 else 6
        self.generators = nn.ModuleDict(
            {
                to: resnet.generator(
                    domains[source][0], domains[to][0], spec.width, blocks, spec.upsample
                )
                for source, to in (("a", "b"), ("b", "a"))
            }
        )
        self.critics = nn.ModuleDict(
            {
                name: patchgan.discriminator(shape, spec.critic_width, spec.strides)
                for name, shape in domains.items()
            }
        )
        self.pools = nn.ModuleDict(
            {name: Pool(spec.pool, shape) for name, shape in domains.items()}
        )
        self._fakes = OnceAStep()

    def phases(self) -> list[Phase]:
        """Both generators, then both discriminators."""
        return [
            Phase("generators", [self.generators], self.generator_losses, self.spec.generator),
            Phase("critics", [self.critics], self.critic_losses, self.spec.critic),
        ]

    def generator_losses(self, batch: Batch, step: int) -> Losses:
        """Of both generators: to pass for real, to find the way back, to leave what is right."""
        real = self._real(batch)
        fake_b, same_b = self._translated("b", real["a"], real["b"])
        fake_a, same_a = self._translated("a", real["b"], real["a"])
        self._fakes.keep(batch, step, fake_a, fake_b)
        cycle = l1_loss(self._to("a", fake_b), real["a"]) + l1_loss(
            self._to("b", fake_a), real["b"]
        )
        fooled_b, fooled_a = (
            (self._scores(name, fake) - 1).square().mean()
            for name, fake in (("b", fake_b), ("a", fake_a))
        )
        losses = {
            "total": fooled_b + fooled_a + self.spec.cycle * cycle,
            "to_b": fooled_b,
            "to_a": fooled_a,
            "cycle": cycle,
        }
        if same_a is not None and same_b is not None:
            identity = l1_loss(same_b, real["b"]) + l1_loss(same_a, real["a"])
            losses["identity"] = identity
            losses["total"] = losses["total"] + self.spec.cycle * self.spec.identity * identity
        return losses

    def critic_losses(self, batch: Batch, step: int) -> Losses:
        """Of both discriminators: on real images and on fakes of this step and of the past."""
        real = self._real(batch)
        fakes = self._fakes.take(batch, step)
        if fakes is None:  # the phase by itself, as tests run it
            with torch.no_grad():
                fakes = self._to("a", real["b"]), self._to("b", real["a"])
        losses: Losses = {}
        right = []
        for name, fake in zip(("a", "b"), fakes, strict=True):
            shown = self.pools[name](fake, batch.noise)
            on_real, on_fake = self._scores(name, torch.cat([real[name], shown])).chunk(2)
            losses[f"critic_{name}"] = ((on_real - 1).square().mean() + on_fake.square().mean()) / 2
            right.append(torch.cat([on_real > 0.5, on_fake < 0.5]).float().mean())
        accuracy = torch.stack(right).mean()
        return {"total": losses["critic_a"] + losses["critic_b"], **losses, "accuracy": accuracy}

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Images of the other domain as images of `to`, ``A`` or ``B``: float32 in [0, 1]."""
        return self._shown(self._to(to.lower(), images))

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """For each direction three rows: images, their translation, and the way back."""
        real = self._real(batch)
        sheets = {}
        for source, to in (("a", "b"), ("b", "a")):
            there = self._to(to, real[source])
            rows = [real[source], there, self._to(source, there)]
            most = max(row.shape[1] for row in rows)
            sheet = torch.cat([self._shown(row).expand(-1, most, -1, -1) for row in rows])
            sheets[f"to_{to}"] = sheet, len(batch)
        return sheets

    def _real(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.second is not None
        return {"a": batch.images, "b": batch.second}

    def _to(self, to: str, images: Tensor) -> Tensor:
        translated: Tensor = self.generators[to](images).float()
        return translated

    def _translated(self, to: str, source: Tensor, own: Tensor) -> tuple[Tensor, Tensor | None]:
        """The source's images in the domain `to` and, where that counts, that domain's own."""
        if not self.spec.identity:
            return self._to(to, source), None
        made, same = self._to(to, torch.cat([source, own])).chunk(2)
        return made, same

    def _scores(self, name: str, images: Tensor) -> Tensor:
        scores: Tensor = self.critics[name](images).float()
        return scores

    @staticmethod
    def _shown(images: Tensor) -> Tensor:
        return images.add(1).div(2).clamp(0, 1)
