import torch
from torch import nn

from naqsh.core.method import Method
from naqsh.training.ema import Average


class Small(Method):
    def __init__(self) -> None:
        super().__init__((1, 4, 4))
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)

    def phases(self):
        return []


def run(decay, steps):
    """The average after `steps` of weights that are set to 1, 2, 3, …, and its first weights."""
    torch.manual_seed(0)
    method = Small()
    average = Average(method, decay)
    first = average.method.layer.weight.double().clone()
    for step in range(steps):
        with torch.no_grad():
            for parameter in method.parameters():
                parameter.fill_(step + 1.0)
            method.norm.running_mean.fill_(10.0 * step)
            method.norm.num_batches_tracked.fill_(step)
        average.update(step)
    return average.method, first


def test_closed_form_with_the_rise():
    steps, decay = 30, 0.7
    method, expected = run(decay, steps)
    for step in range(steps):
        now = min(decay, (1 + step) / (10 + step))
        expected = now * expected + (1 - now) * (step + 1.0)
    torch.testing.assert_close(method.layer.weight.double(), expected, rtol=1e-6, atol=0)
    assert not torch.allclose(method.layer.weight, torch.full((2, 3), float(steps)))


def test_the_first_weights_are_soon_forgotten():
    # The first decay is 1/10: nine tenths of the random start are gone after one step.
    method, first = run(0.9999, 1)
    torch.testing.assert_close(method.layer.weight.double(), 0.1 * first + 0.9)


def test_buffers_are_copied_and_whole_numbers_stay_whole():
    method, _ = run(0.9, 4)
    assert method.norm.running_mean.tolist() == [30.0, 30.0]
    assert method.norm.num_batches_tracked.item() == 3
    assert method.norm.num_batches_tracked.dtype == torch.int64


def test_the_average_is_apart_and_never_trained():
    method = Small()
    average = Average(method, 0.9)
    before = average.method.layer.weight.clone()
    with torch.no_grad():
        method.layer.weight.add_(1)
    assert torch.equal(average.method.layer.weight, before)
    assert not any(p.requires_grad for p in average.method.parameters())
    assert all(p.requires_grad for p in method.parameters())
    assert not average.method.training
    average.update(5)
    assert torch.equal(method.layer.weight, before + 1)
