"""A critic in this process: one model, loaded once, whose adapters are changed without loading it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import Any, Final

from seemory.advisors.critic.adapters import AdapterProblem
from seemory.advisors.critic.asking import Deadline, Manner, Reply, Unanswered
from seemory.advisors.critic.base import Base, load_base
from seemory.advisors.critic.critique import SCHEMA
from seemory.advisors.critic.grammar import Grammar
from seemory.advisors.critic.question import Question
from seemory.errors import SeemoryError

_MOST_ADAPTERS: Final = 8
"""Adapters that stay in memory; that of the longest silence makes room."""

FindAdapter = Callable[[str], Path]
"""Where the files of an adapter are, after they were looked at. Raises AdapterProblem."""


class LocalCritic:
    """Answers one question after another. May be asked by several threads."""

    def __init__(self, model: str, find: FindAdapter, *, max_tokens: int, four_bit: bool = True) -> None:
        """Nothing is loaded before the first question.

        Args:
            model: a name in Hugging Face's cache, or a folder.
            find: finds the adapters.
            max_tokens: of one answer.
            four_bit: whether it may be loaded in 4 bits, where it can.
        """
        self._name = model
        self._find = find
        self._max_tokens = max_tokens
        self._four_bit = four_bit
        self._thread = ThreadPoolExecutor(1, "seemory-critic")
        self._lock = Lock()
        self._loading: Future[tuple[Base, Grammar]] | None = None
        self._with_adapters: Any = None
        self._adapters: OrderedDict[str, None] = OrderedDict()
        self.loads = 0
        """How often the model was loaded."""

    def reply(self, question: Question, adapter: str | None, manner: Manner, deadline: Deadline) -> Reply:
        """See `Critic`. A model that is still being loaded when the time is over goes on being loaded."""
        with self._lock:
            if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
                self._loading = self._thread.submit(self._load)
            loading = self._loading
        given_up = Event()
        answering = self._thread.submit(self._answer, loading, question, adapter, manner, deadline, given_up)
        try:
            return answering.result(deadline.left_s)
        except TimeoutError as error:
            given_up.set()
            answering.cancel()
            what = "no answer" if loading.done() else "the critic's model was not loaded"
            raise Unanswered(f"{what} within {deadline.seconds:g} s") from error

    def close(self) -> None:
        """End the thread, when it is done with what it does."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> tuple[Base, Grammar]:
        base = load_base(self._name, four_bit=self._four_bit)
        self.loads += 1
        return base, Grammar(SCHEMA, base.tokenizer, base.vocabulary)

    def _answer(
        self,
        loading: Future[tuple[Base, Grammar]],
        question: Question,
        adapter: str | None,
        manner: Manner,
        deadline: Deadline,
        given_up: Event,
    ) -> Reply:
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        try:
            base, grammar = loading.result()
        except SeemoryError as error:
            raise Unanswered(str(error)) from error
        [inputs] = base.inputs([question])
        length = inputs["input_ids"].shape[1]

        def over(ids: Any, _: Any, **__: Any) -> Any:
            return torch.full((1,), given_up.is_set() or not deadline.left_s, dtype=torch.bool, device=ids.device)

        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if manner.attempt:
            how = {"do_sample": True, "temperature": 0.7, "top_p": 0.95, "top_k": 0}
        held = LogitsProcessorList([grammar.hold(length)] if manner.constrained else [])
        note = None
        try:
            folder = None if adapter is None else self._find(adapter)
        except AdapterProblem as error:
            adapter, folder, note = None, None, str(error)
        with self._speaking(base, adapter, folder) as model, torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(manner.attempt)
            written = model.generate(
                **{name: value.to(base.device) for name, value in inputs.items()},
                **how,
                max_new_tokens=self._max_tokens,
                logits_processor=held,
                stopping_criteria=StoppingCriteriaList([over]),
                eos_token_id=base.tokenizer.eos_token_id,
                pad_token_id=base.tokenizer.pad_token_id or base.tokenizer.eos_token_id,
            )[0, length:].tolist()
        if given_up.is_set() or not deadline.left_s:
            raise Unanswered(f"no answer within {deadline.seconds:g} s")
        ended = bool(written) and written[-1] == base.tokenizer.eos_token_id
        text = base.tokenizer.decode(written[:-1] if ended else written, skip_special_tokens=False)
        return Reply(text, base.name, adapter, length, len(written), cut=not ended, note=note)

    @contextmanager
    def _speaking(self, base: Base, adapter: str | None, folder: Path | None) -> Iterator[Any]:
        """The model with that adapter, or without any; adapters that are in memory already cost nothing."""
        if adapter is None:
            if self._with_adapters is None:
                yield base.model
            else:
                with self._with_adapters.disable_adapter():
                    yield self._with_adapters
            return
        if adapter not in self._adapters:
            if self._with_adapters is None:
                from peft import PeftModel

                self._with_adapters = PeftModel.from_pretrained(base.model, str(folder), adapter_name=adapter)
            else:
                self._with_adapters.load_adapter(str(folder), adapter_name=adapter)
            self._adapters[adapter] = None
        self._adapters.move_to_end(adapter)
        self._with_adapters.set_adapter(adapter)
        while len(self._adapters) > _MOST_ADAPTERS:
            self._with_adapters.delete_adapter(self._adapters.popitem(last=False)[0])
        self._with_adapters.eval()
        yield self._with_adapters
