"""Heads: what turns a frozen network's features into vectors of the shared space.

Every head takes `tokens (b, t, d)`, a vector for each of t positions, and perhaps `mask (b, t)`, true where there is
one; it gives `(b, out)`, not of norm 1: `losses.prefixes` cuts and normalises. Pooled features come as one position,
`(b, 1, d)`. Letters: b batch, t positions, m latents, d a position's width, w the width inside, h attention heads.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Front = Literal["none", "norm", "root"]
LatentInit = Literal["randn", "small", "xavier"]


class Root(nn.Module):  # type: ignore[misc]
    """`(b, t, d)` to the same: each position's root, brought to norm 1 (RootSIFT, Arandjelović and Zisserman 2012).

    For what comes out of a ReLU, of which few values are large; negative values keep their sign.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """`(b, t, d)`."""
        return F.normalize(tokens.sign() * (tokens.abs() + 1e-6).sqrt(), dim=-1) * math.sqrt(tokens.shape[-1])


def front(kind: Front, width: int) -> nn.Module:
    """What features go through first: nothing, a LayerNorm without weights, or `Root`."""
    if kind == "root":
        return Root()
    return nn.LayerNorm(width, elementwise_affine=False) if kind == "norm" else nn.Identity()


class Linear(nn.Module):  # type: ignore[misc]
    """The mean of the positions, `(b, d)`, through one matrix, `(b, out)`."""

    def __init__(self, width: int, out: int, *, front_kind: Front = "none") -> None:
        super().__init__()
        self.front = front(front_kind, width)
        self.out = nn.Linear(width, out)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(b, t, d)` to `(b, out)`."""
        return self.out(_mean(self.front(tokens), mask))


class Mlp(nn.Module):  # type: ignore[misc]
    """`(b, d)` to `(b, out)`: LayerNorm, a hidden layer with GELU, dropout, and a matrix."""

    def __init__(self, width: int, hidden: int, out: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, out)

    def forward(self, pooled: Tensor) -> Tensor:
        """`(b, d)` to `(b, out)`."""
        return self.out(self.dropout(F.gelu(self.widen(self.norm(pooled)))))


class ScorePooling(nn.Module):  # type: ignore[misc]
    """A score for each position, `(b, t)`, softmax over the positions, the weighted mean `(b, d)`, then an MLP."""

    def __init__(self, width: int, hidden: int, out: int, *, dropout: float = 0.0, front_kind: Front = "none") -> None:
        super().__init__()
        self.front = front(front_kind, width)
        self.score = nn.Linear(width, 1)
        self.mlp = Mlp(width, hidden, out, dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(b, t, d)` to `(b, out)`."""
        tokens = self.front(tokens)
        scores = self.score(tokens).squeeze(-1)  # (b, t)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1).unsqueeze(1)  # (b, 1, t)
        return self.mlp((weights @ tokens).squeeze(1))


class AttentionPooling(nn.Module):  # type: ignore[misc]
    """One learned query looks at all positions with h heads (Lee and others 2019, "Set Transformer"), then an MLP.

    Positions become `(b, t, w)`; the query's answer is `(b, w)`; out comes `(b, out)`.
    """

    def __init__(
        self,
        width: int,
        inner: int,
        heads: int,
        hidden: int,
        out: int,
        *,
        dropout: float = 0.0,
        front_kind: Front = "none",
    ) -> None:
        super().__init__()
        self.front = front(front_kind, width)
        self.enter = nn.Linear(width, inner)
        self.norm = nn.LayerNorm(inner)
        self.query = nn.Parameter(torch.randn(1, 1, inner) * inner**-0.5)
        self.look = Attention(inner, heads)
        self.mlp = Mlp(inner, hidden, out, dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(b, t, d)` to `(b, out)`."""
        seen = self.norm(self.enter(self.front(tokens)))  # (b, t, w)
        query = self.query.expand(seen.shape[0], -1, -1)  # (b, 1, w)
        return self.mlp(self.look(query, seen, mask).squeeze(1))


class Attention(nn.Module):  # type: ignore[misc]
    """Queries `(b, m, w)` look at `(b, t, w)`: `(b, m, w)`."""

    def __init__(self, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.asks = nn.Linear(inner, inner, bias=False)
        self.shows = nn.Linear(inner, 2 * inner, bias=False)
        self.out = nn.Linear(inner, inner)

    def forward(self, query: Tensor, seen: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(b, m, w)`."""
        b, m, w = query.shape
        q = self.asks(query).view(b, m, self.heads, w // self.heads).transpose(1, 2)  # (b, h, m, w/h)
        k, v = self.shows(seen).view(b, seen.shape[1], 2, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        allowed = None if mask is None else mask[:, None, None, :]  # (b, 1, 1, t)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.out(found.transpose(1, 2).reshape(b, m, w))


class PerceiverLayer(nn.Module):  # type: ignore[misc]
    """Latents `(b, m, w)` look at the positions, perhaps at one another, and each goes through an MLP of width 4 w.

    Everything is normalised before it is used (pre-norm), so that how large the latents are reaches the result only
    through the sums it is part of.
    """

    def __init__(self, inner: int, heads: int, *, latent_attention: bool, dropout: float) -> None:
        super().__init__()
        self.latent_norm = nn.LayerNorm(inner)
        self.seen_norm = nn.LayerNorm(inner)
        self.look = Attention(inner, heads)
        self.among_norm = nn.LayerNorm(inner) if latent_attention else None
        self.among = Attention(inner, heads) if latent_attention else None
        self.mlp = Mlp(inner, 4 * inner, inner, dropout)

    def forward(self, latents: Tensor, seen: Tensor, mask: Tensor | None) -> Tensor:
        """`(b, m, w)`."""
        latents = latents + self.look(self.latent_norm(latents), self.seen_norm(seen), mask)
        if self.among is not None and self.among_norm is not None:
            normed = self.among_norm(latents)
            latents = latents + self.among(normed, normed)
        return latents + self.mlp(latents)


class Perceiver(nn.Module):  # type: ignore[misc]
    """A Perceiver resampler (Jaegle and others 2021; Alayrac and others 2022), the mean of its latents, then an MLP.

    Latents `(m, w)` are learned and the same for every picture; `(b, t, d)` becomes `(b, t, w)`; each of the layers
    gives `(b, m, w)`; the mean over m, after a LayerNorm, is `(b, w)`; out comes `(b, out)`.
    """

    def __init__(
        self,
        width: int,
        inner: int,
        heads: int,
        hidden: int,
        out: int,
        *,
        latents: int,
        layers: int,
        latent_attention: bool = True,
        latent_init: LatentInit = "small",
        dropout: float = 0.0,
        front_kind: Front = "none",
    ) -> None:
        super().__init__()
        self.front = front(front_kind, width)
        self.enter = nn.Linear(width, inner)
        self.latents = nn.Parameter(initial_latents(latent_init, latents, inner))
        self.layers = nn.ModuleList(
            PerceiverLayer(inner, heads, latent_attention=latent_attention, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(inner)
        self.mlp = Mlp(inner, hidden, out, dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(b, t, d)` to `(b, out)`."""
        seen = self.enter(self.front(tokens))  # (b, t, w)
        latents = self.latents.expand(seen.shape[0], -1, -1)  # (b, m, w)
        for layer in self.layers:
            latents = layer(latents, seen, mask)
        return self.mlp(self.norm(latents).mean(dim=1))


def initial_latents(kind: LatentInit, latents: int, inner: int) -> Tensor:
    """`(m, w)` before training: `randn` of deviation 1, `small` of deviation 0.02, or Xavier's uniform."""
    made = torch.empty(latents, inner)
    if kind == "xavier":
        return nn.init.xavier_uniform_(made)
    return nn.init.normal_(made, std=1.0 if kind == "randn" else 0.02)


def ridge(inputs: Tensor, wanted: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """The matrix `(d, out)` and offset `(out,)` of ridge regression, in closed form and float64.

    Minimises the squared error of `inputs (n, d) @ matrix + offset` to `wanted (n, out)` plus `strength` times the
    matrix's squared norm; the offset is not held small (Hoerl and Kennard 1970).
    """
    x, y = inputs.double(), wanted.double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    centred = x - x_mean
    left = centred.T @ centred + strength * torch.eye(x.shape[1], dtype=torch.float64)
    matrix = torch.linalg.solve(left, centred.T @ (y - y_mean))
    return matrix.float(), (y_mean - x_mean @ matrix).float()


def fitted_linear(head: Linear, tokens: Tensor, wanted: Tensor, strength: float) -> Linear:
    """The head with ridge regression's weights, from `tokens (n, t, d)` and `wanted (n, out)`; nothing is trained."""
    with torch.no_grad():
        matrix, offset = ridge(_mean(head.front(tokens), None), wanted, strength)
        head.out.weight.copy_(matrix.T)
        head.out.bias.copy_(offset)
    return head


def parameters_of(head: nn.Module) -> int:
    """How many numbers the head learns."""
    return sum(parameter.numel() for parameter in head.parameters())


def _mean(tokens: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return tokens.mean(dim=1)
    weights = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)


Head = Any
"""One of the modules above."""
