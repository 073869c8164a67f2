"""The text tower: one vector a word piece, one light look at the neighbours, and a weighted mean."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

HEADS = 4
REACH = 5


class TextTower(nn.Module):
    """(b, t) token ids, 0 for padding, to (b, dim), not yet normalised.

    The mean of the static vectors always reaches the output, so that rare words keep their meaning; the context
    layer adds to it. An empty text gives the constant of the last bias.
    """

    def __init__(self, vocabulary: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, dim)
        self.weight = nn.Embedding(vocabulary, 1)
        nn.init.zeros_(self.weight.weight)
        self.near = nn.Conv1d(dim, dim, REACH, padding=REACH // 2, groups=dim)
        self.scale_near = nn.RMSNorm(dim)
        self.widen = nn.Linear(dim, dim * 2)
        self.narrow = nn.Linear(dim * 2, dim)
        self.scale_look = nn.RMSNorm(dim)
        self.look = nn.Linear(dim, dim * 3)
        self.told = nn.Linear(dim, dim)
        self.gate = nn.Linear(dim, 1)
        self.out = nn.Linear(dim, dim)
        for layer in (self.narrow, self.told, self.gate):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.eye_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(b, t) to (b, dim)."""
        b, t = ids.shape
        mask = (ids != 0).unsqueeze(-1)
        x = self.table(ids) * mask
        seen = self.near(self.scale_near(x).transpose(1, 2)).transpose(1, 2)
        x = (x + self.narrow(F.relu(self.widen(seen)))) * mask
        q, k, v = self.look(self.scale_look(x)).view(b, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask.view(b, 1, 1, t) | (~mask.any(1)).view(b, 1, 1, 1)
        )
        x = x + self.told(found.transpose(1, 2).reshape(b, t, -1))
        weight = torch.exp((self.weight(ids) + self.gate(x)).clamp(-8, 8)) * mask
        return self.out((x * weight).sum(1) / (weight.sum(1) + 1e-6))
