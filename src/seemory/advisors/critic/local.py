"""A critic in this process: one model, loaded once, whose adapters are changed without loading it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
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
    """A model in this process, with the adapters of one owner. May be asked by several threads."""

    def __init__(self, model: LocalModel, find: FindAdapter) -> None:
        """`model` may be others' as well; `find` finds the owner's adapters."""
        self.model = model
        self._find = find

    def reply(self, question: Question, adapter: str | None, manner: Manner, deadline: Deadline) -> Reply:
        """See `Critic`. A model that is still being loaded when the time is over goes on being loaded."""
        if adapter is None:
            return self.model.answer(question, None, manner, deadline)
        try:
            spoken_by = adapter, self._find(adapter)
        except AdapterProblem as error:
            return replace(self.model.answer(question, None, manner, deadline), note=str(error))
        return self.model.answer(question, spoken_by, manner, deadline)


class LocalModel:
    """One model, which answers one question after another, by whichever adapter. May be asked by several threads."""

    def __init__(self, name: str, *, max_tokens: int, four_bit: bool = True) -> None:
        """Nothing is loaded before the first question.

        Args:
            name: in Hugging Face's cache, or a folder.
            max_tokens: of one answer.
            four_bit: whether it may be loaded in 4 bits, where it can.
        """
        self._name = name
        self._max_tokens = max_tokens
        self._four_bit = four_bit
        self._thread = ThreadPoolExecutor(1, "seemory-critic")
        self._lock = Lock()
        self._loading: Future[tuple[Base, Grammar]] | None = None
        self._with_adapters: Any = None
        self._adapters: OrderedDict[str, None] = OrderedDict()
        self.loads = 0
        """How often the model was loaded."""

    def answer(self, question: Question, adapter: tuple[str, Path] | None, manner: Manner, deadline: Deadline) -> Reply:
        """The reply, by the adapter of that name in that folder. Raises Unanswered."""
        with self._lock:
            if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
                self._loading = self._thread.submit(self._load)
            loading = self._loading
        given_up = Event()
        answering = self._thread.submit(self._answered, loading, question, adapter, manner, deadline, given_up)
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

    def _answered(
        self,
        loading: Future[tuple[Base, Grammar]],
        question: Question,
        adapter: tuple[str, Path] | None,
        manner: Manner,
        deadline: Deadline,
        given_up: Event,
    ) -> Reply:
        try:
            base, grammar = loading.result()
            return self._written(base, grammar, question, adapter, manner, deadline, given_up)
        except SeemoryError as error:
            raise Unanswered(str(error)) from error
        except (RuntimeError, ValueError, KeyError, OSError, MemoryError) as error:  # torch's own: no memory left
            what = str(error).strip().partition("\n")[0][:200]
            raise Unanswered(f"the critic's model failed: {type(error).__name__}: {what}") from error

    def _written(
        self,
        base: Base,
        grammar: Grammar,
        question: Question,
        adapter: tuple[str, Path] | None,
        manner: Manner,
        deadline: Deadline,
        given_up: Event,
    ) -> Reply:
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        [inputs] = base.inputs([question])
        length = inputs["input_ids"].shape[1]

        def over(ids: Any, _: Any, **__: Any) -> Any:
            return torch.full((1,), given_up.is_set() or not deadline.left_s, dtype=torch.bool, device=ids.device)

        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if manner.attempt:
            how = {"do_sample": True, "temperature": 0.7, "top_p": 0.95, "top_k": 0}
        held = LogitsProcessorList([grammar.hold(length)] if manner.constrained else [])
        with self._speaking(base, adapter) as model, torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(manner.attempt)
            written = model.generate(
                **{name: value.to(base.device) for name, value in inputs.items()},
                **how,
                max_new_tokens=self._max_tokens,
                logits_processor=held,
                stopping_criteria=StoppingCriteriaList([over]),
                eos_token_id=base.tokenizer.eos_token_id,
                pad_token_id=base.padding,
            )[0, length:].tolist()
        if given_up.is_set() or not deadline.left_s:
            raise Unanswered(f"no answer within {deadline.seconds:g} s")
        ended = bool(written) and written[-1] == base.tokenizer.eos_token_id
        text = base.tokenizer.decode(written[:-1] if ended else written, skip_special_tokens=False)
        spoke = None if adapter is None else adapter[0]
        return Reply(text, base.name, spoke, length, len(written), cut=not ended)

    @contextmanager
    def _speaking(self, base: Base, adapter: tuple[str, Path] | None) -> Iterator[Any]:
        """The model with that adapter, or without any; adapters that are in memory already cost nothing."""
        if adapter is None:
            if self._with_adapters is None:
                yield base.model
            else:
                with self._with_adapters.disable_adapter():
                    yield self._with_adapters
            return
        name, folder = adapter
        if name not in self._adapters:
            if self._with_adapters is None:
                from peft import PeftModel

                self._with_adapters = PeftModel.from_pretrained(base.model, str(folder), adapter_name=name)
            else:
                self._with_adapters.load_adapter(str(folder), adapter_name=name)
            self._adapters[name] = None
        self._adapters.move_to_end(name)
        self._with_adapters.set_adapter(name)
        while len(self._adapters) > _MOST_ADAPTERS:
            self._with_adapters.delete_adapter(self._adapters.popitem(last=False)[0])
        self._with_adapters.eval()
        yield self._with_adapters
