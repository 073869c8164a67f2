"""The arithmetic of OpenCLIP's plain Vision Transformer and text tower, on the checkpoint's own names.

A second way to the same vectors, independent of the conversion to transformers: what the export is compared with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from seemory.models.export.checkpoint import Tensor

State = dict[str, Tensor]

EPS = 1e-5
"""Of every layer norm, in open_clip as in OpenAI's code."""


def encode_image(state: State, cfg: Mapping[str, Any], pixels: Tensor) -> Tensor:
    """`(n, 3, s, s)` to `(n, d)`, from the original names."""
    import torch
    from torch.nn import functional as F  # noqa: N812 - the name everybody reads

    vision = cfg["vision_cfg"]
    patches = F.conv2d(pixels, state["visual.conv1.weight"], stride=vision["patch_size"]).flatten(2).mT  # (n, p, w)
    first = state["visual.class_embedding"].expand(len(pixels), 1, -1)
    x = torch.cat([first, patches], dim=1) + state["visual.positional_embedding"]
    x = _norm(state, "visual.ln_pre", x)
    x = _blocks(state, "visual.", x, vision["width"] // vision["head_width"], None, cfg["quick_gelu"])
    return _norm(state, "visual.ln_post", x[:, 0]) @ state["visual.proj"]


def encode_text(state: State, cfg: Mapping[str, Any], ids: Tensor) -> Tensor:
    """`(n, t)` to `(n, d)`, from the original names: pooled at the first end token, or at the highest id."""
    import torch

    text, length = cfg["text_cfg"], ids.shape[1]
    x = state["token_embedding.weight"][ids] + state["positional_embedding"][:length]
    causal = torch.full((length, length), float("-inf")).triu(1)
    x = _norm(state, "ln_final", _blocks(state, "", x, text["heads"], causal, cfg["quick_gelu"]))
    at = (ids == text["eos_id"]).int().argmax(-1) if text.get("pool_type") == "eos" else ids.argmax(-1)
    return x[torch.arange(len(ids)), at] @ state["text_projection"]


def _blocks(state: State, tower: str, x: Tensor, heads: int, mask: Tensor | None, quick_gelu: bool) -> Tensor:
    import torch
    from torch.nn import functional as F  # noqa: N812

    for layer in range(layers(state, tower)):
        block = f"{tower}transformer.resblocks.{layer}"
        attention = f"{block}.attn"
        y = _norm(state, f"{block}.ln_1", x).transpose(0, 1)  # (t, n, w), as the fused attention wants it
        y, _ = F.multi_head_attention_forward(
            y,
            y,
            y,
            y.shape[2],
            heads,
            state[f"{attention}.in_proj_weight"],
            state[f"{attention}.in_proj_bias"],
            None,
            None,
            False,
            0.0,
            state[f"{attention}.out_proj.weight"],
            state[f"{attention}.out_proj.bias"],
            training=False,
            need_weights=False,
            attn_mask=mask,
        )
        x = x + y.transpose(0, 1)
        y = F.linear(
            _norm(state, f"{block}.ln_2", x), state[f"{block}.mlp.c_fc.weight"], state[f"{block}.mlp.c_fc.bias"]
        )
        y = y * torch.sigmoid(1.702 * y) if quick_gelu else F.gelu(y)
        x = x + F.linear(y, state[f"{block}.mlp.c_proj.weight"], state[f"{block}.mlp.c_proj.bias"])
    return x


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    from torch.nn import functional as F  # noqa: N812

    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], EPS)


def layers(state: Mapping[str, Any], tower: str) -> int:
    """How many blocks a tower has; `tower` is `visual.` or nothing."""
    pattern = re.compile(re.escape(tower) + r"transformer\.resblocks\.(\d+)\.ln_1\.weight")
    return max((int(match[1]) + 1 for name in state if (match := pattern.fullmatch(name))), default=0)
