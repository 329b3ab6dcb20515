r"""Masked autoregressive flows that other packages trained, read for exact and quick sampling.

zuko's ``MAF`` and nflows's ``MaskedAutoregressiveFlow`` keep dense weights with masks, in an order
of units of their own, and undo a block by D passes. Their units are sorted by degree here and the
weights packed; densities stay the same, and samples take the work of about one pass.

A degree is read off the masks: 1 + the place of the last input that a unit sees, or the highest
degree of the units that it sees. Both packages map a dimension by

.. math:: z = x\, e^{s} + b, \qquad x = (z - b)\, e^{-s},

zuko with :math:`s = r / (1 + |r / \ln \text{slope}|)` and nflows with :math:`s = \ln(10^{-3} +
\operatorname{softplus} r)`. A residual stream r of nflows, which no ReLU may cut, is carried by the
two units :math:`\max(r, 0)` and :math:`\max(-r, 0)`.

A state_dict tells neither the activation nor zuko's slope. ReLU is the default of both packages.
zuko 1.6 is known by its names, and has a slope of 1e-3; those before it had 1e-3 (1.0 and 1.5) or
1e-4 (1.1 to 1.4) under the same names: say which, or give densities to compare with::

    from_zuko(flow.state_dict(), check=(x, flow().log_prob(x)))

Weights of less than single precision are computed with in single precision.

References:
    zuko 1.0 to 1.6 (Rozet et al.), ``zuko.flows.autoregressive``; nflows 0.14 (Durkan et al.,
    2020), ``nflows.transforms.autoregressive``, ``nflows.transforms.made``.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import softplus

from naqsh.core.errors import NaqshError
from naqsh.flows.affine import Affine
from naqsh.flows.agreement import SLOPES, Check, agreeing
from naqsh.flows.autoregressive import Autoregressive
from naqsh.flows.bijection import Bijection
from naqsh.flows.imported import Diagonal, ImportedFlow, NflowsAffine, Permutation, ZukoAffine
from naqsh.networks.activations import Activation, by_name
from naqsh.networks.made import MADE

Linear = tuple[Tensor, Tensor]
"""A masked weight matrix and its bias."""


def from_zuko(
    state: Mapping[str, Tensor],
    *,
    activation: str = "relu",
    slope: float | None = None,
    check: Check | None = None,
) -> ImportedFlow:
    """The flow of a ``zuko.flows.MAF(...).state_dict()``, without context.

    Args:
        state: as zuko 1.0 to 1.6 write it.
        activation: between the layers of its networks, by PyTorch's name.
        slope: of ``zuko.transforms.MonotonicAffineTransform``; not needed for a state of zuko 1.6,
            nor with a check.
        check: what the flow read must agree with.

    Raises:
        NaqshError: the state is that of another flow, its slope cannot be told, or its densities
            are not those given.
    """
    base = ("base._0", "base._1") if "base._0" in state else ("base.loc", "base.scale")
    if slope is not None and not 0 < slope < 1:
        raise NaqshError(f"slope must lie in (0, 1), got {slope}")
    parts = _parts(state, r"transform\.transforms\.(\d+)\.(.+)", set(base), "zuko")
    slopes = SLOPES if slope is None else (slope,)
    if slope is None and base[0] == "base.loc":
        slopes = SLOPES[:1]
    elif len(slopes) > 1 and check is None:
        raise NaqshError(
            "zuko 1.0 to 1.5 write the same names with slope 1e-3 (1.0, 1.5) or 1e-4 (1.1 to 1.4): "
            "give slope, or check=(x, log_prob) of some x"
        )
    location, scale = (_single(state[name]) for name in base)

    def read(activation: str, slope: float) -> ImportedFlow:
        layers: list[Bijection] = []
        for number, part in parts.items():
            layers += _zuko_block(number, dict(part), by_name(activation), ZukoAffine(slope))
        layers.append(Diagonal(1 / scale, -location / scale))
        return ImportedFlow(layers, len(location))

    return agreeing(read, activation, slopes, check)


def from_nflows(
    state: Mapping[str, Tensor], *, activation: str = "relu", check: Check | None = None
) -> ImportedFlow:
    """The flow of an nflows ``MaskedAutoregressiveFlow(...).state_dict()``.

    With residual blocks (of ReLU) or without, any permutations, degrees at random, batch
    normalisation between layers (as in evaluation), but none within them.

    Args:
        state: as nflows 0.14 writes it.
        activation: between the layers of its networks, by PyTorch's name.
        check: what the flow read must agree with.

    Raises:
        NaqshError: the state is that of another flow, or its densities are not those given.
    """
    parts = _parts(state, r"_transform\._transforms\.(\d+)\.(.+)", set(), "nflows")

    def read(activation: str, slope: float) -> ImportedFlow:
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
                linears = _nflows_layers(number, part, activation)
                features = linears[0][0].shape[1]
                order, act = torch.arange(features), by_name(activation)
                layers += _block(linears, order, True, NflowsAffine(), act)
        return ImportedFlow(layers, features)

    return agreeing(read, activation, (0.0,), check)


def _single(tensor: Tensor) -> Tensor:
    """Half precision as single precision: a density of half the digits is none."""
    small = tensor.is_floating_point() and torch.finfo(tensor.dtype).bits < 32
    return tensor.detach().float() if small else tensor.detach()


def _zuko_block(
    number: int, part: dict[str, Tensor], activation: Activation, affine: Affine
) -> list[Bijection]:
    """A transform of zuko's."""
    order = part.pop("order", None)
    pattern = re.compile(r"hyper\.(\d+)\.(weight|bias|mask)")
    _only(part, pattern, f"transform.transforms.{number}", "zuko")
    if order is None or order.dim() != 1:
        raise NaqshError(f"zuko's transform {number} has no order of its dimensions")
    places = sorted({int(name.split(".")[1]) for name in part})
    linears = [_linear(part, f"hyper.{place}") for place in places]
    # Of a zuko row, mu comes first.
    return _block(linears, order.argsort(stable=True), False, affine, activation)


def _parts(
    state: Mapping[str, Tensor], pattern: str, further: set[str], package: str
) -> dict[int, dict[str, Tensor]]:
    """The state by transform, in their order; raises NaqshError for a key that belongs to none."""
    parts: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        found = re.fullmatch(pattern, name)
        if found:
            parts.setdefault(int(found[1]), {})[found[2]] = _single(tensor)
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


def _nflows_layers(number: int, part: Mapping[str, Tensor], activation: str) -> list[Linear]:
    """The network of an nflows transform as layers with the activation between any two."""
    net = "autoregressive_net"
    pattern = re.compile(
        rf"{net}\.(initial_layer|final_layer|blocks\.\d+\.(linear|linear_layers\.[01]))\."
        r"(weight|bias|mask|degrees)"
    )
    _only(part, pattern, f"_transform._transforms.{number}", "nflows")
    numbers = sorted({int(name.split(".")[2]) for name in part if name.startswith(f"{net}.blocks")})
    first, last = _linear(part, f"{net}.initial_layer"), _linear(part, f"{net}.final_layer")
    if not any("linear_layers" in name for name in part):
        return [first, *(_linear(part, f"{net}.blocks.{n}.linear") for n in numbers), last]
    if by_name(activation).name != "relu":
        raise NaqshError(f"residual blocks of nflows can be read with ReLU alone, not {activation}")
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
    linears: list[Linear],
    order: Tensor,
    scale_first: bool,
    affine: Affine,
    activation: Activation,
) -> list[Bijection]:
    """A block whose dimensions come in `order`, between permutations where that is not their own.

    Args:
        linears: the layers of its network, masked, in the package's order of units.
        order: the dimensions from the first to the last.
        scale_first: whether a dimension's rows of the output are r and b, else b and r.
        affine: the map of a dimension.
        activation: of its network.
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
    block.made = MADE(
        features, [len(one) for one in degrees], degrees=degrees, activation=activation
    )
    block.to(weight)
    for layer, (weight, bias) in zip(
        [*block.made.hidden, block.made.output], sorted_layers, strict=True
    ):
        layer.pack(weight)
        layer.bias.data.copy_(bias)
    if torch.equal(order, torch.arange(features)):
        return [block]
    return [Permutation(order), block, Permutation(order.argsort())]
