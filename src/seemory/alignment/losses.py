"""Losses between pictures and texts, `(b, d)` each, of which row n belongs to row n.

All take vectors of norm 1. `Contrast` cuts to Matryoshka prefixes, normalises each, and takes their weighted mean, so
that its value stays comparable with ln b: what InfoNCE gives when all vectors are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Kind = Literal["infonce", "sigmoid"]
Widths = Literal["all", "one"]

WARMEST = 100.0
"""The largest logit scale, as in CLIP: beyond it training gets unstable (Radford and others 2021)."""


def info_nce(pictures: Tensor, texts: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE (van den Oord 2018; CLIP): the mean of the cross-entropies of both directions, a scalar."""
    logits = scale * pictures @ texts.T  # (b, b)
    right = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def sigmoid(pictures: Tensor, texts: Tensor, scale: Tensor | float, bias: Tensor | float) -> Tensor:
    """SigLIP's loss (Zhai and others 2023): each of the b² pairs is right or wrong by itself; the sum over them / b."""
    logits = scale * pictures @ texts.T + bias
    signs = 2 * torch.eye(len(logits), device=logits.device, dtype=logits.dtype) - 1
    return -F.logsigmoid(signs * logits).sum() / len(logits)


def prefixes(vectors: Tensor, widths: Sequence[int]) -> list[Tensor]:
    """The beginnings of `(b, out)` vectors, `(b, width)` each, of norm 1 after the cut (Kusupati and others 2022)."""
    wide = vectors if vectors.dtype == torch.float64 else vectors.float()  # a norm in bfloat16 keeps two digits
    return [F.normalize(wide[:, :width], dim=-1) for width in widths]


class Contrast(nn.Module):  # type: ignore[misc]
    """The loss of a batch, with what it learns: the logit scale, and for `sigmoid` a bias, shared by all widths."""

    def __init__(
        self,
        kind: Kind = "infonce",
        *,
        temperature: float = 0.07,
        learned: bool = True,
        widths: Sequence[int] = (),
        matryoshka: Widths = "all",
        weights: Sequence[float] | None = None,
    ) -> None:
        """
        Args:
            kind: InfoNCE or SigLIP's.
            temperature: the scale's inverse, where it begins; SigLIP's own begins at 0.1.
            learned: whether the scale is.
            widths: of the prefixes; none: the whole vectors.
            matryoshka: the weighted mean over all widths, or one width a step, drawn with the weights.
            weights: of the widths, brought to a sum of 1; by default equal.
        """
        super().__init__()
        self.kind, self.widths, self.matryoshka = kind, tuple(widths), matryoshka
        given = list(weights) if weights is not None else [1.0] * len(self.widths)
        self.weights = [weight / sum(given) for weight in given]
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)), requires_grad=learned)
        # With b² - b wrong pairs to b right ones, a bias of 0 would begin with a huge and wrong step.
        self.bias = nn.Parameter(torch.tensor(-10.0)) if kind == "sigmoid" else None

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied with."""
        return self.log_scale.exp().clamp(max=WARMEST)

    def forward(self, pictures: Tensor, texts: Tensor, *, drawn: float = 0.0) -> Tensor:
        """A scalar for `(b, out)` each; `drawn`, 0 to 1, chooses the width where one is taken a step."""
        widths = self.widths or (pictures.shape[1],)
        weights = self.weights or [1.0]
        if self.matryoshka == "one" and len(widths) > 1:
            total, chosen = 0.0, 0
            while chosen < len(widths) - 1 and drawn >= total + weights[chosen]:
                total += weights[chosen]
                chosen += 1
            widths, weights = (widths[chosen],), [1.0]
        pairs = zip(prefixes(pictures, widths), prefixes(texts, widths), strict=True)
        losses = [weight * self._of(first, second) for weight, (first, second) in zip(weights, pairs, strict=True)]
        return torch.stack(losses).sum()

    def _of(self, pictures: Tensor, texts: Tensor) -> Tensor:
        if self.bias is not None:
            return sigmoid(pictures, texts, self.scale, self.bias)
        return info_nce(pictures, texts, self.scale)


Encode = Callable[[int], tuple[Tensor, Tensor]]
"""The pictures' and texts' vectors of a chunk of the batch, by its number."""

Context = Callable[[], AbstractContextManager[object]]


def backward_in_chunks(
    encode: Encode, chunks: int, loss: Callable[[Tensor, Tensor], Tensor], within: Context = nullcontext
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of the whole batch, and its vectors; the gradients are in the parameters as if it had been one pass.

    Gradient caching (Gao and others 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"):
    the vectors are made without gradients, the loss gives the gradient at each vector, and each chunk is made once more
    to carry its part on. Memory for one chunk's pass is enough. What is random in a chunk comes out the same twice.
    """
    if chunks == 1:
        with within():
            pictures, texts = encode(0)
        value = loss(pictures, texts)
        value.backward()
        return value.detach(), pictures.detach(), texts.detach()
    states, parts = [], []
    with torch.no_grad(), within():
        for number in range(chunks):
            states.append(_random_state())
            parts.append(encode(number))
    pictures = torch.cat([part[0] for part in parts]).requires_grad_()
    texts = torch.cat([part[1] for part in parts]).requires_grad_()
    value = loss(pictures, texts)
    value.backward()
    assert pictures.grad is not None
    assert texts.grad is not None
    after = _random_state()
    begin = 0
    for number, state in enumerate(states):
        _set_random_state(state)
        with within():
            first, second = encode(number)
        end = begin + len(first)
        pairs = ((first, pictures.grad[begin:end]), (second, texts.grad[begin:end]))
        learned = [pair for pair in pairs if pair[0].requires_grad]
        torch.autograd.backward(*zip(*learned, strict=True))
        begin = end
    _set_random_state(after)
    return value.detach(), pictures.detach(), texts.detach()


def _random_state() -> tuple[Tensor, list[Tensor]]:
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _set_random_state(state: tuple[Tensor, list[Tensor]]) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])
