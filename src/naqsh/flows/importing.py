r"""Masked autoregressive flows that other packages trained, read for exact and quick sampling.

zuko's ``MAF`` and nflows's ``MaskedAutoregressiveFlow`` keep dense weights with masks, in an order
of units of their own, and undo a block by D passes. Their units are sorted by degree here and the
weights packed; densities stay the same, and samples take the work of about one pass.

A degree is read off the masks: 1 + the place of the last input that a unit sees, or the highest
degree of the units that it sees. Both packages map a dimension by

.. math:: z = x\, e^{s} + b, \qquad x = (z - b)\, e^{-s},

zuko with :math:`s = r / (1 + |r / \ln 1000|)` and nflows with :math:`s = \ln(10^{-3} +
\operatorname{softplus} r)`. A residual stream r of nflows, which no ReLU may cut, is carried by the
two units :math:`\max(r, 0)` and :math:`\max(-r, 0)`.

What a state_dict does not tell is taken to be as by default: ReLU, zuko's slope of 1e-3.

References:
    zuko 1.6 (Rozet et al.), ``zuko.flows.autoregressive``; nflows 0.14 (Durkan et al., 2020),
    ``nflows.transforms.autoregressive``, ``nflows.transforms.made``.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from naqsh.errors import NaqshError
from naqsh.flows.affine import Affine
from naqsh.flows.autoregressive import Autoregressive
from naqsh.flows.bijection import Bijection
from naqsh.flows.method import Chain
from naqsh.networks.made import MADE
from naqsh.noise import Noise

Linear = tuple[Tensor, Tensor]
"""A masked weight matrix and its bias."""


class ImportedFlow(Chain):
    """Bijections with a standard normal base density, on vectors of D numbers.

    Attributes:
        features: D.
    """

    def __init__(self, layers: list[Bijection], features: int) -> None:
        super().__init__(layers)
        self.features = features

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-densities in nats, shape (N,), of vectors with shape (N, D)."""
        z, log_det = self.normalise(x)
        return (log_det - (z.square() + math.log(2 * math.pi)) / 2).sum(1)

    def sample(self, noise: Noise) -> Tensor:
        """A vector for each stream of the noise, shape (N, D)."""
        x: Tensor = self(noise.normal(self.features))
        return x


@dataclass(frozen=True)
class _Scaled(Affine):
    """z = x e^s + b: alpha is -s here, b takes the place of mu."""

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = parameters.unbind(-1)
        log_factor = -self.log_scale(raw)
        return x * log_factor.exp() + shift, log_factor

    def inverse(self, z: Tensor, shift: Tensor, raw: Tensor) -> Tensor:
        return (z - shift) * self.log_scale(raw).exp()

    def pull_back(self, to_x: Tensor, to_z: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return -to_z, to_x * x


class ZukoAffine(_Scaled):
    """zuko's soft bound of the log-factor."""

    def __init__(self) -> None:
        super().__init__(bound=math.log(1000))

    def log_scale(self, raw: Tensor) -> Tensor:
        """Minus s."""
        return -raw / (1 + (raw / self.bound).abs())

    def log_scale_slope(self, log_scale: Tensor) -> Tensor:
        """Its derivative by r."""
        return -(1 - (log_scale / self.bound).abs()).square()


class NflowsAffine(_Scaled):
    """nflows's factor, above 1e-3 and without a bound above."""

    def __init__(self) -> None:
        super().__init__(bound=math.inf)

    def log_scale(self, raw: Tensor) -> Tensor:
        """Minus s."""
        return -(softplus(raw) + 1e-3).log()

    def log_scale_slope(self, log_scale: Tensor) -> Tensor:
        """Its derivative by r."""
        factor = (-log_scale).exp()
        return (1e-3 - factor).expm1() / factor


class Permutation(Bijection):
    """Another order of the dimensions: ``z[:, i] = x[:, order[i]]``."""

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z with no change of volume; shape (N, D)."""
        return x[:, self.order], torch.zeros_like(x)

    def inverse(self, z: Tensor) -> Tensor:
        """The order from before."""
        return z[:, self.order.argsort()]


class Diagonal(Bijection):
    """Each dimension's own factor and shift, ``z = x * factor + shift``; factors above 0."""

    factor: Tensor
    shift: Tensor

    def __init__(self, factor: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and the logarithms of the factors, (N, D) both."""
        return x * self.factor + self.shift, self.factor.log().expand_as(x)

    def inverse(self, z: Tensor) -> Tensor:
        """x again."""
        return (z - self.shift) / self.factor


def from_zuko(state: Mapping[str, Tensor]) -> ImportedFlow:
    """The flow of a ``zuko.flows.MAF(...).state_dict()``, without context.

    Raises:
        NaqshError: the state is that of another flow.
    """
    parts = _parts(state, r"transform\.transforms\.(\d+)\.(.+)", {"base.loc", "base.scale"}, "zuko")
    layers: list[Bijection] = []
    for number, part in parts.items():
        order = part.pop("order", None)
        pattern = re.compile(r"hyper\.(\d+)\.(weight|bias|mask)")
        _only(part, pattern, f"transform.transforms.{number}", "zuko")
        if order is None or order.dim() != 1:
            raise NaqshError(f"zuko's transform {number} has no order of its dimensions")
        places = sorted({int(name.split(".")[1]) for name in part})
        linears = [_linear(part, f"hyper.{place}") for place in places]
        # Of a zuko row, mu comes first.
        layers += _block(linears, order.argsort(stable=True), False, ZukoAffine())
    features = len(state["base.loc"])
    layers.append(Diagonal(1 / state["base.scale"], -state["base.loc"] / state["base.scale"]))
    return ImportedFlow(layers, features)


def from_nflows(state: Mapping[str, Tensor]) -> ImportedFlow:
    """The flow of an nflows ``MaskedAutoregressiveFlow(...).state_dict()``.

    With residual blocks or without, any permutations, degrees at random, batch normalisation
    between layers (as in evaluation), but none within them.

    Raises:
        NaqshError: the state is that of another flow.
    """
    parts = _parts(state, r"_transform\._transforms\.(\d+)\.(.+)", set(), "nflows")
    layers: list[Bijection] = []
    features = 0
    for number, part in parts.items():
        if "_permutation" in part:
            layers.append(Permutation(part["_permutation"]))
        elif "running_mean" in part:
            deviation = (part["running_var"] + 1e-5).sqrt()
            factor = (softplus(part["unconstrained_weight"]) + 1e-5) / deviation
            layers.append(Diagonal(factor, part["bias"] - part["running_mean"] * factor))
        else:
            pattern = re.compile(
                r"autoregressive_net\.(initial_layer|final_layer|blocks\.\d+\.(linear|"
                r"linear_layers\.[01]))\.(weight|bias|mask|degrees)"
            )
            _only(part, pattern, f"_transform._transforms.{number}", "nflows")
            linears = _nflows_layers(part)
            features = linears[0][0].shape[1]
            layers += _block(linears, torch.arange(features), True, NflowsAffine())
    return ImportedFlow(layers, features)


def _parts(
    state: Mapping[str, Tensor], pattern: str, further: set[str], package: str
) -> dict[int, dict[str, Tensor]]:
    """The state by transform, in their order; raises NaqshError for a key that belongs to none."""
    parts: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        found = re.fullmatch(pattern, name)
        if found:
            parts.setdefault(int(found[1]), {})[found[2]] = tensor.detach()
        elif name not in further:
            raise NaqshError(f"this is no MAF of {package}: it has {name!r}")
    if not parts or not further <= set(state):
        raise NaqshError(f"this is no MAF of {package}: it has no transforms or no base")
    return dict(sorted(parts.items()))


def _only(names: Mapping[str, Tensor], pattern: re.Pattern[str], where: str, package: str) -> None:
    for name in names:
        if not pattern.fullmatch(name):
            raise NaqshError(
                f"no MAF of {package} that can be read here has {where + '.' + name!r}"
            )


def _linear(part: Mapping[str, Tensor], name: str) -> Linear:
    try:
        return part[f"{name}.weight"] * part[f"{name}.mask"], part[f"{name}.bias"]
    except KeyError as error:
        raise NaqshError(f"the flow's layer {name} has no {error}") from error


def _nflows_layers(part: Mapping[str, Tensor]) -> list[Linear]:
    """The network of an nflows transform as layers with a ReLU between any two."""
    net = "autoregressive_net"
    numbers = sorted({int(name.split(".")[2]) for name in part if name.startswith(f"{net}.blocks")})
    first, last = _linear(part, f"{net}.initial_layer"), _linear(part, f"{net}.final_layer")
    if not any("linear_layers" in name for name in part):
        return [first, *(_linear(part, f"{net}.blocks.{n}.linear") for n in numbers), last]
    units = len(first[1])
    one, none = torch.eye(units).to(first[0]), torch.zeros(units, units).to(first[0])
    layers = [(torch.cat([first[0], -first[0]]), torch.cat([first[1], -first[1]]))]
    for n in numbers:
        inner, outer = (_linear(part, f"{net}.blocks.{n}.linear_layers.{k}") for k in (0, 1))
        kept = torch.cat([torch.cat([one, none], 1), torch.cat([none, one], 1)])
        weight = torch.cat([torch.cat([inner[0], none], 1), kept])
        layers.append((weight, torch.cat([inner[1], inner[1].new_zeros(2 * units)])))
        stream = torch.cat([outer[0], one, -one], 1)
        layers.append((torch.cat([stream, -stream]), torch.cat([outer[1], -outer[1]])))
    layers.append((torch.cat([last[0], -last[0]], 1), last[1]))
    return layers


def _block(
    linears: list[Linear], order: Tensor, scale_first: bool, affine: Affine
) -> list[Bijection]:
    """A block whose dimensions come in `order`, between permutations where that is not their own.

    Args:
        linears: the layers of its network, masked, in the package's order of units.
        order: the dimensions from the first to the last.
        scale_first: whether a dimension's rows of the output are r and b, else b and r.
        affine: the map of a dimension.
    """
    features = len(order)
    if linears[0][0].shape[1] != features or len(linears[-1][1]) != 2 * features:
        raise NaqshError(
            f"a block has {linears[0][0].shape[1]} inputs and {len(linears[-1][1])} outputs for "
            f"{features} dimensions; only affine flows without a context can be read"
        )
    columns, below = order, torch.arange(1, features + 1)
    sorted_layers, degrees = [], []
    for weight, bias in linears[:-1]:
        seen = (weight[:, columns] != 0) * below
        degree, rows = seen.amax(1).sort(stable=True)
        sorted_layers.append((weight[rows][:, columns], bias[rows]))
        degrees.append(degree.clamp(max=max(features - 1, 0)))
        columns, below = rows, degree
    weight, bias = linears[-1]
    pairs = torch.tensor([1, 0] if scale_first else [0, 1])
    rows = (2 * order[:, None] + pairs).flatten()
    weight = weight[rows][:, columns]
    if bool(((weight != 0) * below > torch.arange(features).repeat_interleave(2)[:, None]).any()):
        raise NaqshError("the flow is not autoregressive in the order that it states")
    sorted_layers.append((weight, bias[rows]))
    block = Autoregressive(features, [len(one) for one in degrees], affine)
    block.made = MADE(features, [len(one) for one in degrees], degrees=degrees)
    block.to(weight)
    for layer, (weight, bias) in zip(
        [*block.made.hidden, block.made.output], sorted_layers, strict=True
    ):
        layer.pack(weight)
        layer.bias.data.copy_(bias)
    if torch.equal(order, torch.arange(features)):
        return [block]
    return [Permutation(order), block, Permutation(order.argsort())]
