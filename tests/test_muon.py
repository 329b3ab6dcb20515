"""Muon against its polynomial on singular values, PyTorch's own Muon, and Adam."""

import pytest
import torch
from torch import Tensor

from naqsh.core import muon
from naqsh.core.optimizers import Adam, Muon
from naqsh.methods import gan

RATE, MOMENTUM, DECAY = 0.02, 0.9, 0.1


def weights(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    torch.manual_seed(seed)
    return [torch.randn(shape).requires_grad_() for shape in shapes]


def polynomial(x: Tensor) -> Tensor:
    """What the iteration makes of matrices, by their singular values alone; float64."""
    x = x.double()
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    values = values / values.norm(dim=-1, keepdim=True)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left * values[..., None, :] @ right


def stepped(optimizer: torch.optim.Optimizer, parameters: list[Tensor], steps: int = 4) -> None:
    for number in range(steps):
        torch.manual_seed(100 + number)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("shape", [(2, 8, 30), (3, 24, 9), (1, 16, 16)])
def test_orthogonalised_has_singular_values_by_the_polynomial(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape)
    # Products of up to 30 terms round what is 1 at most; that moves a singular value s, by its
    # square, by the error over 2 s, and five steps enlarge it by up to 485.
    least = torch.linalg.svdvals(x.double()).amin() / torch.linalg.matrix_norm(x).amax()
    most = 485 * 30 * torch.finfo(torch.float32).eps / (2 * float(least))
    assert (muon.orthogonalised(x).double() - polynomial(x)).abs().max() < most


def test_singular_values_come_near_one() -> None:
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(12, 12))
    right, _ = torch.linalg.qr(torch.randn(40, 12))
    x = left @ torch.diag(torch.logspace(-1.5, 0, 12)) @ right.T
    values = torch.linalg.svdvals(muon.orthogonalised(x[None])[0])
    assert 0.68 < values.min() < values.max() < 1.21
    assert torch.linalg.svdvals(x).max() / torch.linalg.svdvals(x).min() > 30


def test_steps_equal_those_of_pytorch() -> None:
    shapes = [(12, 20), (30, 9)]
    ours, theirs, start = weights(*shapes), weights(*shapes), weights(*shapes)
    stepped(Muon(RATE, MOMENTUM, weight_decay=DECAY).build(ours), ours)
    reference = torch.optim.Muon(
        theirs, RATE, DECAY, MOMENTUM, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    stepped(reference, theirs)
    for mine, other, before in zip(ours, theirs, start, strict=True):
        # Four updates whose entries are at most 0.2 * sqrt(30) * 1.21 times the rate; theirs are
        # of bfloat16, which rounds each product of the five steps by 2^-9: 16 errors may meet.
        most = 4 * RATE * 0.2 * 30**0.5 * 1.21 * 16 * 2.0**-9
        assert (mine - other).abs().max() < most
        assert (mine - before).abs().max() > 4 * most


def test_one_step_is_the_formula() -> None:
    (weight,) = weights((10, 16))
    before, gradient = weight.detach().double(), torch.randn(10, 16)
    optimizer = Muon(RATE, MOMENTUM, weight_decay=DECAY).build([weight])
    weight.grad = gradient.clone()
    optimizer.step()
    mean = (1 - MOMENTUM) * gradient.double()
    ahead = MOMENTUM * mean + (1 - MOMENTUM) * gradient.double()
    right = (1 - RATE * DECAY) * before - RATE * 0.2 * 4 * polynomial(ahead)
    most = 485 * 30 * torch.finfo(torch.float32).eps * RATE * 0.8 / (2 * 0.05) + 1e-6
    assert (weight.detach().double() - right).abs().max() < most
    assert set(optimizer.state[weight]) == {"step", "exp_avg"}


def test_what_is_no_matrix_is_trained_by_adam() -> None:
    shapes = [(7,), (40,), (1, 30), (30, 4), (6, 3, 3, 3), (16, 1, 2, 2)]
    assert not any(muon.is_matrix(one) for one in weights(*shapes))
    ours, theirs = weights(*shapes), weights(*shapes)
    stepped(Muon(RATE, betas=(0.8, 0.9), weight_decay=DECAY).build(ours), ours)
    stepped(Adam(RATE, (0.8, 0.9), DECAY).build(theirs), theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_is_the_matrix_of_its_rows(layout: torch.memory_format) -> None:
    (kernel,), (matrix,) = weights((8, 4, 3, 3)), weights((8, 36))
    kernel = kernel.detach().contiguous(memory_format=layout).requires_grad_()
    for parameter, shape in ((kernel, (8, 4, 3, 3)), (matrix, (8, 36))):
        optimizer = Muon(RATE).build([parameter])
        for number in range(3):
            torch.manual_seed(number)
            gradient = torch.randn(8, 36).reshape(shape)
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
            optimizer.step()
    assert kernel.is_contiguous(memory_format=layout)
    assert torch.allclose(kernel.detach().flatten(1), matrix.detach(), atol=1e-5)


def test_matrices_of_one_size_are_updated_each_for_itself() -> None:
    together, alone = weights((9, 12), (9, 12), (12, 9)), weights((9, 12), (9, 12), (12, 9))
    stepped(Muon(RATE).build(together), together)
    for number in range(4):
        torch.manual_seed(100 + number)
        for parameter in alone:
            parameter.grad = torch.randn(parameter.shape)
        if not number:
            optimizers = [Muon(RATE).build([parameter]) for parameter in alone]
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(together, alone, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: Muon(0), "lr must be above 0"),
        (lambda: Muon(momentum=1.0), "momentum and betas must lie"),
        (lambda: Muon(betas=(0.9, -0.1)), "momentum and betas must lie"),
        (lambda: Muon(weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: gan.Spec(unroll=2, critic=Muon()), "unroll looks ahead .* leave unroll out"),
    ],
)
def test_what_cannot_be_is_refused(build, line) -> None:
    with pytest.raises(ValueError, match=line):
        build()
