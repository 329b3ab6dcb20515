"""The Inception network of FID, without torchvision.

FID is defined by one trained network: the Inception-v3 of 2015 that TensorFlow published, as ported
to PyTorch by pytorch-fid. It departs from torchvision's Inception-v3 in four places, all of which
change the numbers:

- average pools do not count the padding (blocks A, C and the first E);
- the pool of the last block takes the largest value instead of the average;
- the last layer has 1008 classes;
- images are resized to 299 x 299 bilinearly without antialiasing, and scaled to [-1, 1].

Names and shapes in the state dict are those of the published weights, so that the file loads as it
is. Here a block is a table of its branches.

References:
    Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2015),
    arXiv:1512.00567, figures 5 to 7 and table 1.
    pytorch-fid (Seitzer, 2020), https://github.com/mseitzer/pytorch-fid: the departures above.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kernel = tuple[int, int]
Step = tuple[str, int, Kernel]
"""Name, output channels and kernel of one convolution."""
Branch = list[Step | tuple[Step, Step]]
"""Convolutions one after the other; a pair is a fork whose outputs are joined."""


class _Conv(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class _Mixed(nn.Module):
    """Branches beside one another, joined by channel.

    Args:
        inputs: channels that come in.
        branches: the convolutions of each branch, under the names of the published weights.
        pool: the branch without a chain: an average or a maximum over 3 x 3 with a convolution
            behind it, or ``"halve"``: a maximum with stride 2, where every chain ends in stride 2.
        pooled: output channels of the convolution behind the pool.
    """

    def __init__(
        self,
        inputs: int,
        branches: list[Branch],
        pool: Literal["average", "maximum", "halve"],
        pooled: int = 0,
    ) -> None:
        super().__init__()
        self._pool = pool
        self._chains: list[list[tuple[str, ...]]] = []
        for branch in branches:
            channels, chain = inputs, []
            for position, step in enumerate(branch):
                fork = (step,) if isinstance(step[0], str) else step
                shrinks = pool == "halve" and position == len(branch) - 1
                for name, outputs, kernel in fork:
                    conv = _Conv(channels, outputs, kernel, 2 if shrinks else 1, not shrinks)
                    self.add_module(name, conv)
                chain.append(tuple(name for name, _, _ in fork))
                channels = sum(outputs for _, outputs, _ in fork)
            self._chains.append(chain)
        if pool != "halve":
            self.branch_pool = _Conv(inputs, pooled, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for chain in self._chains:
            y = x
            for names in chain:
                y = torch.cat([self.get_submodule(name)(y) for name in names], dim=1)
            outputs.append(y)
        if self._pool == "halve":
            outputs.append(F.max_pool2d(x, kernel_size=3, stride=2))
        elif self._pool == "maximum":
            outputs.append(self.branch_pool(F.max_pool2d(x, kernel_size=3, stride=1, padding=1)))
        else:
            averaged = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
            outputs.append(self.branch_pool(averaged))
        return torch.cat(outputs, dim=1)


def _block_a(inputs: int, pooled: int) -> _Mixed:
    branches: list[Branch] = [
        [("branch1x1", 64, (1, 1))],
        [("branch5x5_1", 48, (1, 1)), ("branch5x5_2", 64, (5, 5))],
        [
            ("branch3x3dbl_1", 64, (1, 1)),
            ("branch3x3dbl_2", 96, (3, 3)),
            ("branch3x3dbl_3", 96, (3, 3)),
        ],
    ]
    return _Mixed(inputs, branches, "average", pooled)


def _block_b(inputs: int) -> _Mixed:
    branches: list[Branch] = [
        [("branch3x3", 384, (3, 3))],
        [
            ("branch3x3dbl_1", 64, (1, 1)),
            ("branch3x3dbl_2", 96, (3, 3)),
            ("branch3x3dbl_3", 96, (3, 3)),
        ],
    ]
    return _Mixed(inputs, branches, "halve")


def _block_c(inner: int) -> _Mixed:
    branches: list[Branch] = [
        [("branch1x1", 192, (1, 1))],
        [
            ("branch7x7_1", inner, (1, 1)),
            ("branch7x7_2", inner, (1, 7)),
            ("branch7x7_3", 192, (7, 1)),
        ],
        [
            ("branch7x7dbl_1", inner, (1, 1)),
            ("branch7x7dbl_2", inner, (7, 1)),
            ("branch7x7dbl_3", inner, (1, 7)),
            ("branch7x7dbl_4", inner, (7, 1)),
            ("branch7x7dbl_5", 192, (1, 7)),
        ],
    ]
    return _Mixed(768, branches, "average", 192)


def _block_d(inputs: int) -> _Mixed:
    branches: list[Branch] = [
        [("branch3x3_1", 192, (1, 1)), ("branch3x3_2", 320, (3, 3))],
        [
            ("branch7x7x3_1", 192, (1, 1)),
            ("branch7x7x3_2", 192, (1, 7)),
            ("branch7x7x3_3", 192, (7, 1)),
            ("branch7x7x3_4", 192, (3, 3)),
        ],
    ]
    return _Mixed(inputs, branches, "halve")


def _block_e(inputs: int, pool: Literal["average", "maximum"]) -> _Mixed:
    branches: list[Branch] = [
        [("branch1x1", 320, (1, 1))],
        [
            ("branch3x3_1", 384, (1, 1)),
            (("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))),
        ],
        [
            ("branch3x3dbl_1", 448, (1, 1)),
            ("branch3x3dbl_2", 384, (3, 3)),
            (("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))),
        ],
    ]
    return _Mixed(inputs, branches, pool, 192)


class Inception(nn.Module):
    """Images to the 2048 numbers of the last pool ("pool3"), on which FID is defined.

    It has 23.9 million parameters, 2.1 of them in the last layer, which only :meth:`logits` uses.
    """

    dimension = 2048

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, (3, 3), stride=2, padded=False)
        self.Conv2d_2a_3x3 = _Conv(32, 32, (3, 3), padded=False)
        self.Conv2d_2b_3x3 = _Conv(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = _Conv(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = _Conv(80, 192, (3, 3), padded=False)
        self.Mixed_5b = _block_a(192, pooled=32)
        self.Mixed_5c = _block_a(256, pooled=64)
        self.Mixed_5d = _block_a(288, pooled=64)
        self.Mixed_6a = _block_b(288)
        self.Mixed_6b = _block_c(128)
        self.Mixed_6c = _block_c(160)
        self.Mixed_6d = _block_c(160)
        self.Mixed_6e = _block_c(192)
        self.Mixed_7a = _block_d(768)
        self.Mixed_7b = _block_e(1280, "average")
        self.Mixed_7c = _block_e(2048, "maximum")
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> Tensor:
        """Resize, scale and describe.

        Args:
            x: float32 images in [0, 1] with shape (N, 3, H, W), of any size.

        Returns:
            features with shape (N, 2048).
        """
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        return self.features(2 * x - 1)

    def features(self, x: Tensor) -> Tensor:
        """Features (N, 2048) of images in [-1, 1] with shape (N, 3, 299, 299)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, kernel_size=3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, kernel_size=3, stride=2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Class scores (N, 1008) of features (N, 2048), for the Inception score."""
        scores: Tensor = self.fc(features)
        return scores
