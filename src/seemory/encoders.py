"""Which encoder a collection has: the one its vectors were made by, or the one a new collection was asked to have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from seemory.errors import CollectionMismatch, EncoderChanged, TowerMissing
from seemory.settings import AUTO, Settings
from seemory.telemetry import ProgressListener
from seemory.types import Generation

if TYPE_CHECKING:
    from seemory.models.encoder import Encoder, Sharing
    from seemory.store.generations import Generations

UNNAMED = "imported:"
"""How the fingerprint of imported vectors begins whose encoder was only named."""


@dataclass(slots=True)
class Loaded:
    """The encoders that a process has loaded for one collection; its owners share them."""

    lock: RLock = field(default_factory=RLock)
    made: dict[str, Encoder] = field(default_factory=dict)
    """Of the collection's generations, by fingerprint."""
    first: tuple[str, Encoder] | None = None
    """Of a collection that was new when it was asked for."""
    found: dict[str, Encoder] = field(default_factory=dict)
    """Those that re-embedding and sentences asked for, by name."""


class Encoders:
    """The encoders of one collection, each loaded once, known by its fingerprint and not by its name."""

    def __init__(
        self,
        settings: Settings,
        insisted: str | None,
        generations: Callable[[], Generations],
        listen: ProgressListener,
        share: Sharing | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        """Nothing is loaded yet; `insisted` is an encoder that the collection must have been made with.

        `share` is how callers share an encoder's passes; by default each has its own. `loaded` are the encoders of the
        same collection that other owners use as well.
        """
        self._settings = settings
        self.collection = settings.collection
        self.notice: str | None = None
        """One line about a choice that was made for the user, once it was made."""
        self._generations = generations
        self._listen = listen
        self._share = share
        self._insisted = None if insisted == AUTO else insisted
        self.loaded = loaded or Loaded()

    @property
    def current(self) -> Encoder:
        """The encoder of the collection's live generation, or, for a new collection, the one that was asked for.

        Raises:
            CollectionMismatch: the collection was made with another encoder than the one insisted on, or its
                encoder's files have changed.
            ModelError: the encoder cannot be found or loaded.
        """
        live = self._generations().live(self.collection, owner=self._settings.owner)
        return self.first()[1] if live is None else self.of(live)

    def first(self) -> tuple[str, Encoder]:
        """How to remember the encoder of a new collection, and the encoder. Raises ModelError as `current` does."""
        with self.loaded.lock:
            if self.loaded.first is None:
                model = self._chosen_model()
                self.loaded.first = model, self.load(model)
            return self.loaded.first

    def of(self, generation: Generation) -> Encoder:
        """The encoder that made a generation's vectors, loaded once; it is known by its fingerprint, not its name.

        A live generation may be another one tomorrow. Whoever asks for the encoder of the one that is being searched
        can never compare two encoders' vectors.

        Raises:
            CollectionMismatch: its files have changed, or the model insisted on is none of the collection's.
            ModelError: it cannot be found or loaded.
        """
        with self.loaded.lock:
            self._require_asked()
            self._require_named(generation)
            encoder = self.loaded.made.get(generation.fingerprint)
            if encoder is None:
                encoder = self.loaded.first[1] if self.loaded.first else self.load(generation.model)
                if encoder.fingerprint != generation.fingerprint:
                    encoder = self._by_fingerprint(generation, self.load)
                self._require_unchanged(generation, encoder)
                here = {known.fingerprint for known in self._generations().all(self.collection)}
                self.loaded.made = {name: kept for name, kept in self.loaded.made.items() if name in here}
                self.loaded.made[generation.fingerprint] = encoder
            return encoder

    @property
    def model_name(self) -> str:
        """The catalogue name or folder of the collection's encoder, or of a new collection's; nothing is fetched."""
        live = self._generations().live(self.collection, owner=self._settings.owner)
        return live.model if live else self._chosen_model()

    def _chosen_model(self) -> str:
        """What a new collection is made with: a catalogue name, or a folder's full path."""
        from seemory.models.loading import resolve_auto

        asked = self._insisted or self._settings.model
        if asked != AUTO:
            return self._for_new_vectors(asked)
        home, options = self._settings.home, self._settings.models
        name, self.notice = resolve_auto(home=home, timeout_s=options.auto_wait_s, offline=options.offline)
        return self._for_new_vectors(name)

    def _for_new_vectors(self, model: str) -> str:
        """How to remember that model, in the precision its name, the settings or what was measured here say."""
        from seemory.models.loading import name_for_new_vectors

        home, options = self._settings.home, self._settings.models
        name, notice = name_for_new_vectors(
            model, home=home, precision=options.precision, runtime=options.runtime, fidelity=options.fidelity
        )
        self.notice = notice or self.notice
        return name

    def find(self, model: str) -> tuple[str, Encoder]:
        """How to remember that model, and its encoder, which may be a generation's already.

        A name means the generation that was made under it; or one beside the live one of that model, in whichever
        precision, so that going on needs none; or, last, vectors that are yet to be made.
        """
        from seemory.models.loading import read_name
        from seemory.models.precision import full_name, split_name

        base, stated = read_name(model, home=self._settings.home)
        known = self._generations().all(self.collection)
        made = [one for one in known if one.model == full_name(base, stated or "fp32")]
        if not stated:
            made += [one for one in known if one.state != "live" and split_name(one.model)[0] == base]
        name = made[0].model if made else self._for_new_vectors(model)
        with self.loaded.lock:
            return name, self._by_fingerprint(made[0], self._kept) if made else self._kept(name)

    def load(self, model: str) -> Encoder:
        """The encoder of that catalogue name or folder. Raises ModelError if it cannot be found or loaded."""
        from seemory.models.loading import load_encoder

        options = self._settings.models
        encoder = load_encoder(
            model,
            home=self._settings.home,
            threads=options.threads,
            offline=options.offline,
            runtime=options.runtime,
            queries=options.queries,
            listen=self._listen,
        )
        if self._share is not None:
            encoder.share_passes(self._share)
        return encoder

    def made_by(self, generation: Generation) -> Encoder:
        """The encoder of a generation of any channel, loaded once; where its files have changed, what they are now.

        Raises ModelError if it cannot be found or loaded.
        """
        with self.loaded.lock:
            return self._by_fingerprint(generation, self._kept)

    def _kept(self, name: str) -> Encoder:
        if name not in self.loaded.found:
            self.loaded.found[name] = self.load(name)
        return self.loaded.found[name]

    def _by_fingerprint(self, generation: Generation, load: Callable[[str], Encoder]) -> Encoder:
        """The generation's encoder by its name, or in the precision that has its fingerprint, where one has.

        A name that was written down by hand, with imported vectors, may lack the precision.
        """
        from seemory.models.precision import PRECISIONS, full_name, split_name

        named = load(generation.model)
        if named.fingerprint == generation.fingerprint:
            return named
        model = split_name(generation.model)[0]
        others = (self.load(full_name(model, precision)) for precision in PRECISIONS)
        return next((other for other in others if other.fingerprint == generation.fingerprint), named)

    def _require_asked(self) -> None:
        """The encoder insisted on is one the collection answers with, or did, or is about to (live, retired, ready).

        So a program that names its encoder goes on through a switch, and its name can be changed at leisure until the
        old generation is dropped. Asked once. By name or, where folders are meant, by fingerprint. A name without a
        precision is content with any.
        """
        from seemory.models.loading import read_name
        from seemory.models.precision import PRECISIONS, full_name, split_name

        if self._insisted is None:
            return
        asked, stated = read_name(self._insisted, home=self._settings.home)
        known = self._generations().all(self.collection, owner=self._settings.owner)
        made = [one for n, one in enumerate(known) if n == 0 or one.state != "building"]
        names = [split_name(known.model) for known in made]
        if made and not any(asked == name and stated in (None, precision or "fp32") for name, precision in names):
            folders = any(Path(name).is_dir() for name in (asked, *(name for name, _ in names)))
            wanted = [full_name(asked, precision) for precision in ((stated,) if stated else PRECISIONS)]
            # names alone need no files, and fetch none
            if not folders or not {self.load(name).fingerprint for name in wanted} & {one.fingerprint for one in made}:
                raise CollectionMismatch(
                    f"collection {self.collection!r} was made with {made[0].model}, not with {self._insisted}: vectors "
                    f"of two encoders cannot be compared; index into another collection (--collection), leave the "
                    f"model out, or change the collection's (seemory reembed start --to {self._insisted})"
                )
        if made:
            self._insisted = None

    def _require_named(self, live: Generation) -> None:
        if live.fingerprint.startswith(UNNAMED):
            raise TowerMissing(
                f"the vectors of collection {self.collection!r} were imported under the name {live.model} and no "
                f"fingerprint, so that no encoder here can be known to be theirs: look by --like or a vector, or "
                f"import them into a new collection with --fingerprint"
            )

    def _require_unchanged(self, live: Generation, encoder: Encoder) -> None:
        if encoder.fingerprint != live.fingerprint:
            raise EncoderChanged(
                f"the files of {live.model} are not those that collection {self.collection!r} was made with "
                f"(fingerprint {encoder.fingerprint[:12]}, not {live.fingerprint[:12]}): restore them, or embed its "
                f"items anew in place (`seemory reembed start --to {live.model}`, then `seemory reembed switch`); "
                f"until then, what needs no encoder (--like) goes on"
            )
