"""The picture tower: MobileNetV2 as its weights are published, norms folded in, the aim's own recipe its head."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

FIRST, POOLED, CLASSES, SENTENCE = 32, 1280, 1000, 384
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Widening, width, blocks, and stride of the first of them (Sandler et al. 2018, table 2)."""
NAMED = 0.7
TEMPERATURE = 3.0
LEAST = 1e-4
"""Added under the square root, whose gradient at nothing is endless."""
MEAN = STD = 0.5


class Conv(nn.Conv2d):
    """A convolution with bias, padded as the published weights expect: at stride 2 below and to the right alone."""

    def __init__(self, inner: int, outer: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inner, outer, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inner, s, s) to (b, outer, s / stride, s / stride)."""
        return super().forward(F.pad(x, (0, 1, 0, 1)) if self.stride[0] == 2 else x)


class Block(nn.Module):
    """Widen, depthwise 3x3, narrow; added to what came in where the shapes agree."""

    def __init__(self, inner: int, outer: int, ratio: int, stride: int) -> None:
        super().__init__()
        wide = inner * ratio
        self.widen = Conv(inner, wide) if ratio > 1 else None
        self.mix = Conv(wide, wide, 3, stride, wide)
        self.narrow = Conv(wide, outer)
        self.adds = stride == 1 and inner == outer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inner, s, s) to (b, outer, s / stride, s / stride)."""
        y = x if self.widen is None else F.relu6(self.widen(x))
        y = self.narrow(F.relu6(self.mix(y)))
        return x + y if self.adds else y


class PictureTower(nn.Module):
    """(b, 3, s, s) in [-1, 1] to (b, dim), not yet normalised; `read` also gives what the teacher's outputs teach."""

    def __init__(self, dim: int, inner: int = SENTENCE) -> None:
        """`inner` is the width of what is named and told.

        Where it is `dim` already, as in a joined tower, no axes are taken of it, and what is told keeps its length:
        little is told of pictures unlike the captioned ones, and what is named counts for more in them.
        """
        super().__init__()
        self.first = Conv(3, FIRST, 3, 2)
        blocks, width = [], FIRST
        for ratio, outer, count, stride in BLOCKS:
            for i in range(count):
                blocks.append(Block(width, outer, ratio, stride if i == 0 else 1))
                width = outer
        self.blocks = nn.Sequential(*blocks)
        self.last = Conv(width, POOLED)
        self.logits = nn.Linear(POOLED, 1 + CLASSES)  # background first
        self.named = nn.Linear(CLASSES, inner, bias=False)
        self.told = nn.Linear(POOLED, inner)
        self.axes = nn.Linear(inner, dim, bias=False) if inner != dim else nn.Identity()
        self.offset = nn.Parameter(torch.zeros(dim))
        self.temperature = TEMPERATURE

    def convolutions(self) -> list[Conv]:
        """All of them in the order the picture meets them."""
        return [module for module in self.modules() if isinstance(module, Conv)]

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """(b, POOLED)."""
        return F.relu6(self.last(self.blocks(F.relu6(self.first(x))))).mean((2, 3))

    def read(self, pooled: torch.Tensor) -> dict[str, torch.Tensor]:
        """The vector, the logits, and the square root of the pooled feature."""
        root = torch.sqrt(pooled + LEAST)
        logits = self.logits(pooled)
        named = F.normalize(self.named(F.softmax(logits[:, 1:] / self.temperature, 1)), dim=1)
        told = self.told(F.normalize(root, dim=1))
        told = told if isinstance(self.axes, nn.Identity) else F.normalize(told, dim=1)
        vector = F.normalize(self.axes(told + NAMED * named), dim=1) - self.offset
        return {"vector": vector, "logits": logits, "pooled": root}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The vectors alone, as the exported tower gives them."""
        return self.read(self.pooled(x))["vector"]
