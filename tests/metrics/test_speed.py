"""Counting what sampling costs."""

import json
import os
import time

import pytest
import torch
from torch import nn

from naqsh.core import memory
from naqsh.core.errors import NaqshError
from naqsh.metrics.speed import sampling_speed


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, *, t=None):
        return self.layer(x)


def test_counts_evaluations_per_picture():
    network = Denoiser()

    def sample(n):
        x = torch.zeros(n, 4)
        for _ in range(5):
            x = network(x, t=torch.zeros(n))
            network(torch.cat([x, x]))  # guidance evaluates each image twice
        return x

    speed = sampling_speed(sample, network, n=6)
    assert speed.evaluations_per_picture == 15
    assert speed.parameters == 20
    assert speed.n == 6
    assert json.loads(json.dumps(speed.to_dict()))["device"] == "cpu"
    assert not network._forward_pre_hooks


def test_times_the_call_without_its_warm_up():
    waits = iter([0.3, 0.05])

    def sample(n):
        time.sleep(next(waits))
        return torch.zeros(n, 1)

    speed = sampling_speed(sample, Denoiser(), n=10)
    # Sleeping takes at least its time, and on a busy machine more.
    assert 10 / 0.3 < speed.pictures_per_second <= 10 / 0.05


def test_sees_the_memory_of_the_call_and_not_of_earlier_ones():
    def sample(n, megabytes=300):
        torch.ones(megabytes * 2**18).sum()
        return torch.zeros(n, 1)

    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this system does not let a process set back its peak memory")
    large = sampling_speed(sample, Denoiser(), n=1).peak_memory
    memory.keep_freed()
    held = [torch.ones(2**20) for _ in range(100)]  # what a training frees and this process keeps
    held.clear()
    small = sampling_speed(lambda n: sample(n, 1), Denoiser(), n=1).peak_memory
    assert large >= 300 * 2**20
    assert large - small > 200 * 2**20


def test_refuses_what_cannot_be_timed():
    with pytest.raises(NaqshError, match="at least 1"):
        sampling_speed(lambda n: torch.zeros(n), Denoiser(), n=0)
    network = Denoiser()
    with pytest.raises(NaqshError, match="3 images where 4"):
        sampling_speed(lambda n: torch.zeros(3), network, n=4)
    assert not network._forward_pre_hooks
