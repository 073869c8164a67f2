"""The critic that the settings name, and the adapters that make it speak as one owner's advisors: trained, measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from seemory.advisors.critic.adapters import Adapter, AdapterFolders, AdapterProblem
from seemory.advisors.critic.criticising import Criticising, Prices
from seemory.batching import time_left
from seemory.errors import UsageError
from seemory.settings import Settings
from seemory.telemetry import ProgressListener, ignore

if TYPE_CHECKING:
    from seemory.advisors.critic.asking import Critic
    from seemory.advisors.critic.evaluating import Evaluation
    from seemory.advisors.critic.local import LocalModel
    from seemory.advisors.critic.training import Plan, TrainingReport
    from seemory.advisors.library import Advisors
    from seemory.advisors.scoring import Scoring
    from seemory.models.encoder import Encoder
    from seemory.store.libraries import Libraries


class Critics:
    """One owner's critics. May be asked by several threads."""

    def __init__(
        self,
        settings: Settings,
        advisors: Advisors,
        libraries: Libraries,
        scoring: Scoring,
        adapters: AdapterFolders,
        encoder: Callable[[], Encoder],
        beside: Critics | None = None,
    ) -> None:
        """Nothing is loaded or asked yet; `beside` are another owner's, whose local model is used."""
        self._settings = settings
        self._options = settings.critic
        self._advisors = advisors
        self._libraries = libraries
        self._scoring = scoring
        self._adapters = adapters
        self._encoder = encoder
        self._beside = beside
        self._lock = Lock()
        self._loaded: LocalModel | None = None

    @cached_property
    def asking(self) -> Criticising | None:
        """Asks the critic; None where none is configured. Raises UsageError for settings that contradict themselves."""
        critic = self._critic
        if critic is None:
            return None
        options = self._options
        return Criticising(
            critic,
            timeout_s=options.timeout_s,
            retries=options.retries,
            prices=Prices(options.prompt_price, options.completion_price),
            constrained=options.constrained,
            left_s=time_left,
        )

    @cached_property
    def _critic(self) -> Critic | None:
        options = self._options
        if options.url is not None and options.local:
            raise UsageError("critic.url and critic.local are both set: there is one critic")
        if options.url is not None:
            from seemory.advisors.critic.endpoint import EndpointCritic

            key = None if options.api_key is None else options.api_key.get_secret_value()
            return EndpointCritic(options.url, options.model, api_key=key, max_tokens=options.max_tokens)
        if options.local:
            from seemory.advisors.critic.local import LocalCritic

            return LocalCritic(self._model, self._folder)
        return None

    @property
    def _model(self) -> LocalModel:
        """The model in this process: one for all owners, whoever asks first."""
        from seemory.advisors.critic.local import LocalModel

        if self._beside is not None:
            return self._beside._model
        options = self._options
        with self._lock:
            if self._loaded is None:
                self._loaded = LocalModel(options.model, max_tokens=options.max_tokens, four_bit=options.four_bit)
            return self._loaded

    def _folder(self, name: str) -> Path:
        """Where the adapter of that name lies, if it is one of the owner's and made for this model."""
        known = (Adapter.from_json(one.adapter) for one in self._libraries.advisors())
        found = next((one for one in known if one is not None and one.name == name), None)
        if found is None:
            raise AdapterProblem(f"no advisor has an adapter {name}")
        if found.base != self._options.model:
            raise AdapterProblem(f"the adapter {name} was made for {found.base} (`critic.model`)")
        return self._adapters.folder(found)

    def train(
        self, name: str, data: Path | str, *, plan: Plan | None = None, listen: ProgressListener = ignore
    ) -> TrainingReport:
        """The report of training an advisor's adapter on critiques; the advisor's critic speaks by it from then on.

        Run again after a kill, it takes up where it stopped and comes to the same weights.

        Args:
            name: the advisor's.
            data: a .jsonl file; each line has `image` (a path, from the file's folder) and `critique`.
            plan: how long and how fast, by default as published (rank 16, alpha 32, 3 epochs).
            listen: called with the progress.

        Raises:
            AdvisorNotFound: there is no such advisor.
            UsageError: the file cannot be read or has no line that can be used, or packages are not installed.
            ModelError: the model cannot be loaded.
        """
        from seemory.advisors.critic.training import Plan, Training

        advisor = self._advisors.find(name)
        training = Training(
            self._adapters,
            self._libraries,
            base=self._options.model,
            four_bit=self._options.four_bit,
            max_pixels=self._settings.media.max_pixels,
        )
        return training.run(advisor, Path(data), plan or Plan(), listen)

    def evaluate(
        self,
        name: str,
        *,
        data: Path | str | None = None,
        limit: int = 40,
        constrained: bool | None = None,
        listen: ProgressListener = ignore,
    ) -> Evaluation:
        """How an advisor's critic does with its adapter and without: valid answers, and the order of its scores.

        Args:
            name: the advisor's.
            data: critiques as in `train`, whose scores are compared with; by default the library's works and their
                measured scores.
            limit: so many photographs at most.
            constrained: whether answers are held to the schema, by default as the settings say.
            listen: called with the progress.

        Raises:
            AdvisorNotFound: there is no such advisor.
            UsageError: no critic is configured, or there is nothing to compare with.
            CriticUnreachable: the critic does not answer.
        """
        from seemory.advisors.critic.evaluating import Evaluating

        advisor = self._advisors.find(name)
        if self._critic is None:
            raise UsageError("no critic is configured (`critic.url` or `critic.local` in the settings)")
        evaluating = Evaluating(
            self._critic,
            self._libraries,
            self._scoring,
            self._encoder,
            timeout_s=self._options.timeout_s,
            max_pixels=self._settings.media.max_pixels,
        )
        held = self._options.constrained if constrained is None else constrained
        return evaluating.run(advisor, None if data is None else Path(data), limit, held, listen)

    def close(self) -> None:
        """Let a local model go."""
        if self._loaded is not None:
            self._loaded.close()
