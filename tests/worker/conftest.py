"""Real model folders, pictures good and bad, and embedders that leave no process behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_encoders import hanging
from PIL import Image

from seemory import VisualEmbedder

MakeEmbedder = Callable[..., VisualEmbedder]


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that hangs on white pictures."""
    return hanging(tmp_path_factory.mktemp("models") / "slow")


@pytest.fixture
def white(tmp_path: Path) -> Path:
    """The picture on which it hangs."""
    path = tmp_path / "white.png"
    Image.new("RGB", (320, 240), "white").save(path)
    return path


@pytest.fixture(autouse=True)
def _no_models_left() -> Iterator[None]:
    """Every test begins and ends without a loaded model."""
    VisualEmbedder.reset()
    yield
    VisualEmbedder.reset()


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MakeEmbedder:
    """An embedder as a worker makes it: from the environment, to which `device="cpu"` adds `CLIP_DEVICE`."""
    monkeypatch.setenv("SEEMORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEEMORY_MODELS__OFFLINE", "true")
    monkeypatch.setenv("CLIP_MODEL_NAME", "seemory-mini")
    monkeypatch.setenv("CLIP_TIMEOUT_S", "30")  # a machine that runs tests beside much else may take its time

    def make(**given: str) -> VisualEmbedder:
        for name, value in given.items():
            monkeypatch.setenv(f"CLIP_{name.upper()}", value)
        return VisualEmbedder()

    return make
