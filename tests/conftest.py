"""What every test may use: one embedded server a test run, a fresh owner and collection a test, real photographs."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_folders import copy_home, make_home
from hypothesis import HealthCheck, settings

from seemory.memory import Memory
from seemory.settings import read_settings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_numbers = itertools.count(1)

LONGEST_FIRST = (
    "store/test_upgrade.py",
    "embedding/test_ray.py",
    "attacks/test_command_line.py",
    "advisors/test_critics.py",
    "test_kills.py",
    "worker/test_time_limit.py",
    "worker/test_embedder.py",
    "faults/test_killed_postgres.py",
    "attacks/test_service.py",
    "attacks/test_methods.py",
    "e2e/test_commands.py",
    "test_docs.py",
    "reembedding/test_rollout_load.py",
    "reembedding/test_reembedding_load.py",
    "faults/test_full_disk.py",
    "faults/test_several_at_once.py",
    "advisors/test_dimensions.py",
    "alignment/test_evaluating.py",
    "store/test_filters_lose_nothing.py",
    "store/test_resident.py",
)
"""Each file is run by one of several processes, and none shall begin a long one when the others have nothing left."""

# How fast a shared machine draws and runs examples says nothing about the code.
settings.register_profile("seemory", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("seemory")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))  # a stable sort


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Programs that tests start, Postgres's above all, do not wait for the disk where there is a C compiler.

    A third of the time of all tests would be spent on that, and none of them pulls a plug.
    """
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        yield
        return
    with tempfile.TemporaryDirectory(prefix="seemory-tests-") as folder, pytest.MonkeyPatch.context() as environment:
        Path(folder).chmod(0o755)  # Postgres may have another account
        library = Path(folder) / "unsynced.so"
        source = Path(__file__).with_name("unsynced.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-fno-builtin", "-o", str(library), str(source)], check=True)
        library.chmod(0o755)
        environment.setenv("LD_PRELOAD", str(library))
        yield


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not reach the tests."""
    for name in ("SEEMORY_HOME", "SEEMORY_DATABASE_URL", "SEEMORY_MODEL", "SEEMORY_OWNER", "SEEMORY_COLLECTION"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("CLIP_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new data folder with a stopped server, of which copies are used."""
    return make_home(tmp_path_factory.mktemp("untouched"))


@pytest.fixture(scope="session")
def home(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose embedded server serves the whole run."""
    from seemory.store.connect import open_database, stop_embedded

    folder = copy_home(untouched, tmp_path_factory.mktemp("home"))
    with open_database(None, home=folder):
        yield folder
    stop_embedded(folder)


@pytest.fixture
def new_memory(home: Path) -> Iterator[Callable[..., Memory]]:
    """Makes memories of a fresh owner and collection with the bundled encoder; arguments override."""
    made: list[Memory] = []
    number = next(_numbers)

    def make(**given: object) -> Memory:
        model = str(given.pop("model", "seemory-mini"))
        defaults = {"home": home, "owner": f"owner{number}", "collection": f"test{number}"}
        made.append(Memory(read_settings(**(defaults | given)), model=model))
        return made[-1]

    yield make
    for memory in made:
        memory.close()


@pytest.fixture
def memory(new_memory: Callable[..., Memory]) -> Memory:
    return new_memory()


@pytest.fixture(scope="session")
def package_photographs() -> dict[str, Path]:
    """The photographs inside scikit-image's and scikit-learn's wheels, by what they show."""
    import skimage
    import sklearn.datasets

    data = Path(skimage.__file__).parent / "data"
    images = Path(sklearn.datasets.__file__).parent / "images"
    names = {
        "astronaut": data / "astronaut.png",
        "cat": data / "chelsea.png",
        "coffee": data / "coffee.png",
        "rocket": data / "rocket.jpg",
        "motorcycle": data / "motorcycle_left.png",
        "galaxies": data / "hubble_deep_field.jpg",
        "temple": images / "china.jpg",
        "flower": images / "flower.jpg",
    }
    missing = [str(path) for path in names.values() if not path.is_file()]
    assert not missing, f"the demo extra's photographs are not where they were: {missing}"
    return names


@pytest.fixture
def photos(tmp_path: Path, package_photographs: dict[str, Path]) -> Path:
    """A folder of eight real photographs of the test's own, which it may change."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, path in package_photographs.items():
        shutil.copy(path, folder / f"{name}{path.suffix}")
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data beside the project; tests that ask for it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"the data folder beside the project is absent ({SHARED.parent.name}/{SHARED.name})")
    return SHARED
