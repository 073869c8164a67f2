"""Commands that are imported when they are asked for, so that one does not wait for all the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click


class OnDemand(MutableMapping[str, click.Command]):
    """A group's commands by name. Naming them all imports nothing; looking at one imports its module."""

    def __init__(self, homes: Mapping[str, tuple[str, ...]]) -> None:
        """`homes` has, for each module, its commands' names; `import`, a word of Python, is `import_` there."""
        self._homes = {name: module for module, names in homes.items() for name in names}
        self._known: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._known:
            module = import_module(self._homes[name])
            self._known[name] = getattr(module, f"{name}_" if name == "import" else name)
        return self._known[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._homes[name], self._known[name] = "", command

    def __delitem__(self, name: str) -> None:
        del self._homes[name]
        self._known.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)
