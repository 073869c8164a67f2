"""Words that cannot leave the schema: before each, all tokens are ruled out that no critique goes on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


class Grammar:
    """A JSON schema over a model's tokens. Made once; a `Hold` of it goes with one answer."""

    def __init__(self, schema: Mapping[str, Any], tokenizer: Any, vocabulary: int) -> None:
        """`vocabulary` is how many tokens the model has a figure for, which may be more than the tokenizer knows."""
        from llguidance import LLMatcher, hf

        self._tokens = hf.from_tokenizer(tokenizer, n_vocab=vocabulary)
        # One way to write each answer: that in which adapters are trained to write it.
        one_way = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        self._grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=one_way)
        if problem := LLMatcher.validate_grammar(self._grammar, self._tokens):
            raise ValueError(f"the schema is no grammar: {problem}")

    def hold(self, prompt: int) -> Hold:
        """What holds an answer that begins after so many tokens."""
        from llguidance import LLMatcher

        return Hold(LLMatcher(self._tokens, self._grammar), prompt, self._tokens.eos_token)


class Hold:
    """A logits processor of transformers, for one answer."""

    def __init__(self, matcher: Any, prompt: int, end: int) -> None:
        self._matcher = matcher
        self._read = prompt
        self._end = end

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """`(1, vocabulary)` scores, minus infinity for each token that the schema does not allow next."""
        import torch

        fresh = input_ids[0, self._read :].tolist()
        self._read += len(fresh)
        if fresh and not self._matcher.is_stopped():
            self._matcher.consume_tokens(fresh)
        if self._matcher.is_error():
            raise ValueError(f"the grammar was left: {self._matcher.get_error()}")
        if self._matcher.is_stopped():
            held = torch.full_like(scores, float("-inf"))
            held[0, self._end] = 0.0
            return held
        allowed = np.frombuffer(self._matcher.compute_logit_bias(), np.uint8) != 0
        mask = torch.from_numpy(allowed).to(scores.device)[None, : scores.shape[1]]
        return scores.masked_fill(~mask, float("-inf"))
