"""The picture tower: a small convolutional net shaped for one CPU core, with heads that only training uses."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

WIDTHS = (24, 64, 128, 256, 512)
DEPTHS = (1, 2, 4, 2)
POOLED = 1024
MEAN = STD = 0.5


class StepDown(nn.Module):
    """Half the side: 2x2 places become channels, then a stride-1 convolution, norm and ReLU.

    It is a strided convolution (export writes it as one), in the form whose gradient is a plain matrix product.
    """

    def __init__(self, inner: int, outer: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner * 4, outer, kernel, 1, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inner, s, s) to (b, outer, s / 2, s / 2)."""
        return F.relu(self.norm(self.conv(F.pixel_unshuffle(x, 2))))


class Block(nn.Module):
    """Depthwise 3x3, widen by two, ReLU, narrow, one norm, add: few memory passes for its arithmetic."""

    def __init__(self, width: int, ratio: int = 2) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.widen = nn.Conv2d(width, width * ratio, 1)
        self.narrow = nn.Conv2d(width * ratio, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.constant_(self.norm.weight, 0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, width, s, s) to the same shape."""
        return x + self.norm(self.narrow(F.relu(self.widen(self.mix(x)))))


class PictureTower(nn.Module):
    """(b, 3, s, s) in [-1, 1] to (b, dim), not yet normalised; `maps` also gives the inner feature maps."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        a, b, c, d, e = WIDTHS
        self.stem = nn.Sequential(StepDown(3, a, 3), StepDown(a, b), *[Block(b) for _ in range(DEPTHS[0])])  # side / 4
        self.near = nn.Sequential(StepDown(b, c), *[Block(c) for _ in range(DEPTHS[1])])  # side / 8
        half = DEPTHS[2] // 2
        self.middle = nn.Sequential(StepDown(c, d), *[Block(d) for _ in range(half)])  # side / 16
        self.upper = nn.Sequential(*[Block(d) for _ in range(DEPTHS[2] - half)])
        self.far = nn.Sequential(StepDown(d, e), *[Block(e) for _ in range(DEPTHS[3])])  # side / 32
        self.gather = nn.Sequential(nn.Conv2d(e, POOLED, 1, bias=False), nn.BatchNorm2d(POOLED), nn.ReLU(inplace=True))
        self.hidden = nn.Linear(POOLED, POOLED)
        self.out = nn.Linear(2 * POOLED, dim)

    def maps(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps at 1/8, 1/16 (half way), 1/16 (end) and the pooled feature (b, 2 * POOLED)."""
        near = self.near(self.stem(x))
        middle = self.middle(near)
        upper = self.upper(middle)
        pooled = self.gather(self.far(upper)).mean((2, 3))
        return near, middle, upper, torch.cat([pooled, F.relu(self.hidden(pooled))], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The vectors alone, as the exported tower gives them."""
        return self.out(self.maps(x)[-1])


class Heads(nn.Module):
    """Linear read-outs of what the teacher saw in the same crop; dropped at export."""

    def __init__(self, edges: int, parts: int, things: int) -> None:
        super().__init__()
        self.edges = nn.Conv2d(WIDTHS[2], edges, 1)
        self.parts = nn.Conv2d(WIDTHS[3], parts * 4, 1)
        self.things = nn.Conv2d(WIDTHS[3], things, 1)
        self.logits = nn.Linear(2 * POOLED, 1001)
        self.pooled = nn.Linear(2 * POOLED, 1280)

    def forward(
        self, near: torch.Tensor, middle: torch.Tensor, upper: torch.Tensor, pooled: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """What each head reads, at the sides the targets are stored at."""

        def fit(x: torch.Tensor, side: int) -> torch.Tensor:
            return F.interpolate(x.float(), (side, side), mode="bilinear", align_corners=False)

        return {
            "edges": fit(self.edges(near), 14),
            "parts": fit(F.pixel_shuffle(self.parts(middle), 2), 14),
            "things": fit(self.things(upper), 7),
            "logits": self.logits(pooled),
            "pooled": self.pooled(pooled),
        }
