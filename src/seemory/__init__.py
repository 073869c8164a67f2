"""Seemory: a visual memory on Postgres.

    import seemory

    memory = seemory.open()
    memory.index("~/Pictures")
    for hit in memory.search("a dog on a beach", limit=5):
        print(f"{hit.score:.2f} {hit.uri}")

Importing it is cheap: what a name needs is loaded when the name is first used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seemory.errors import SeemoryError
    from seemory.memory import Memory
    from seemory.memory import open_memory as open
    from seemory.types import Filter, Hit, Item
    from seemory.worker.embedder import VisualEmbedder

# From the moment of its import, ONNX Runtime (1.29 and later) tells its makers which models are run on which machine,
# and keeps a number for that machine on disk. It does neither where this was said before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Filter", "Hit", "Item", "Memory", "SeemoryError", "VisualEmbedder", "__version__", "open"]

_HOMES = {
    "Filter": ("seemory.types", "Filter"),
    "Hit": ("seemory.types", "Hit"),
    "Item": ("seemory.types", "Item"),
    "Memory": ("seemory.memory", "Memory"),
    "SeemoryError": ("seemory.errors", "SeemoryError"),
    "VisualEmbedder": ("seemory.worker.embedder", "VisualEmbedder"),
    "open": ("seemory.memory", "open_memory"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seemory' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
