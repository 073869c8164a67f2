"""Colours moved while training, for every picture anew; the targets stay, since the teacher hardly minds."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812


def recolour(image: torch.Tensor) -> torch.Tensor:
    """(b, 3, s, s) in [-1, 1] with each picture's contrast, brightness and saturation moved; one in ten is grey."""
    b = len(image)

    def draw(low: float, high: float) -> torch.Tensor:
        return torch.empty(b, 1, 1, 1).uniform_(low, high).to(image.dtype)

    saturation = draw(0.3, 1.5) * (torch.rand(b, 1, 1, 1) > 0.1).to(image.dtype)
    grey = image.mean(1, keepdim=True)
    image = (grey + (image - grey) * saturation) * draw(0.6, 1.35) + draw(-0.2, 0.2)
    return F.hardtanh(image)
