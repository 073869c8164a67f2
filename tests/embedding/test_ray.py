"""Indexing and re-embedding on a real Ray of two nodes here: the same vectors, and losses that are mended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import made_encoders
import numpy as np
import pytest
import ray_doubles
from ray_doubles import BlindWorker, MortalWorker
from test_kills import cut_many

from seemory.embedding.on_ray import RayEmbedding
from seemory.embedding.pictures import Targets
from seemory.embedding.ray_worker import Duty, Worker
from seemory.errors import ClusterUnreachable, CollectionMismatch, ModelUnavailable, UsageError
from seemory.memory import Memory

BATCH = 4
STORE_BYTES = 100 * 2**20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core each."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        from ray.cluster_utils import Cluster

        options = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": STORE_BYTES}
        made = Cluster(initialize_head=True, head_node_args=options | {"include_dashboard": False})
        made.add_node(**options)
        yield made
        made.shutdown()


@pytest.fixture(scope="module", autouse=True)
def joined(cluster: Any) -> Iterator[None]:
    """This process as a member of the cluster, once for all tests here."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    ray.cloudpickle.register_pickle_by_value(ray_doubles)  # the nodes have no folder of tests
    yield
    ray.cloudpickle.unregister_pickle_by_value(ray_doubles)
    ray.shutdown()


def on(cluster: Any, memory: Memory, worker: type[Worker] = Worker) -> RayEmbedding:
    return RayEmbedding(cluster.address, Duty(memory.home), batch_size=BATCH, worker=worker)


def index(cluster: Any, memory: Memory, folder: Path, worker: type[Worker] = Worker) -> Any:
    with on(cluster, memory, worker) as embedding:
        return memory._rooms.indexer(embedding).run([folder])


def vectors(memory: Memory, number: int = 0) -> dict[str, Any]:
    generation = memory._rooms.generations.all(memory.collection)[number]
    names = {item.item_id: Path(item.uri).name for item in memory.items()}
    return {
        names[item_id]: vector
        for ids, page in memory._rooms.query.all_vectors(generation)
        for item_id, vector in zip(ids, page, strict=True)
    }


def facts(memory: Memory) -> dict[str, Any]:
    return {Path(item.uri).name: (item.width, item.height, item.format, item.camera) for item in memory.items()}


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, vector in ours.items():
        np.testing.assert_allclose(vector, theirs[name], atol=2e-3, err_msg=name)


@pytest.fixture
def many(tmp_path: Path, package_photographs: dict[str, Path]) -> Path:
    """Forty different cuts of real photographs."""
    folder = tmp_path / "many"
    folder.mkdir()
    cut_many(package_photographs, folder, 40)
    return folder


def test_the_same_vectors_as_without_ray(
    cluster: Any, new_memory: Callable[..., Memory], photos: Path, tmp_path: Path
) -> None:
    (photos / "words.jpg").write_text("this is not a photograph")
    shutil.copy(photos / "cat.png", photos / "copy.png")
    far, near = new_memory(index={"batch_size": BATCH}), new_memory(collection="near")
    report, here = far.index(photos, ray=cluster.address), near.index(photos)
    assert report.counts == here.counts
    assert report.errors == here.errors, "a bad file has the same reason"
    assert_same(vectors(far), vectors(near))
    assert facts(far) == facts(near)
    assert dict(far.index(photos, ray=cluster.address).counts)["unchanged"] == 9

    other = str(made_encoders.turned(tmp_path / "turned"))
    with far.embedding(cluster.address) as embedding:
        moved = far.reembedding(embedding).start(other)
    assert (moved.embedded, moved.failed, moved.verification.passed) == (9, 0, True)
    shutil.copy(photos / "rocket.jpg", photos / "rocket2.jpg")
    (photos / "rocket2.jpg").write_bytes((photos / "rocket2.jpg").read_bytes() + b"\0")
    assert far.index(photos, ray=cluster.address).indexed == 1, "one file for both generations"
    for name, vector in vectors(far, 1).items():
        np.testing.assert_allclose(vector[::-1], vectors(far)[name], atol=2e-3, err_msg=name)


def test_a_node_that_does_not_see_the_files_gets_their_bytes(
    cluster: Any, new_memory: Callable[..., Memory], photos: Path
) -> None:
    far, near = new_memory(), new_memory(collection="near")
    assert index(cluster, far, photos, BlindWorker).indexed == 8
    near.index(photos)
    assert_same(vectors(far), vectors(near))


def test_a_lost_batch_is_done_again_once_and_a_deadly_file_fails_alone(
    cluster: Any, memory: Memory, many: Path
) -> None:
    shutil.move(many / "0005.jpg", many / "0005-once.jpg")
    shutil.move(many / "0017.jpg", many / "0017-deadly.jpg")
    report = index(cluster, memory, many, MortalWorker)
    assert dict(report.counts) == {"indexed": 39, "failed": 1}
    ((uri, reason),) = report.errors
    assert Path(uri).name == "0017-deadly.jpg"
    assert "WorkerLost" in reason
    given = Counter((many.parent / "given.txt").read_text().split())
    assert len(given) == 40
    assert (given["0017-deadly.jpg"], given["0005-once.jpg"]) == (2, 2), "once in its batch, once alone"
    assert max(given.values()) == 2
    assert sum(given.values()) <= 40 + 2 * BATCH, "only the two lost batches were done again"
    assert dict(index(cluster, memory, many).counts) == {"unchanged": 39, "known_bad": 1}


def test_no_more_is_under_way_than_was_said(cluster: Any, memory: Memory, many: Path) -> None:
    @dataclass(frozen=True)
    class File:
        path: Path

        @property
        def key(self) -> Path:
            return self.path

    pulled = taken = most = 0

    def files() -> Iterator[File]:
        nonlocal pulled, most
        for path in sorted(many.iterdir()):
            pulled += 1
            most = max(most, pulled - taken)
            yield File(path)

    targets: Targets = memory._rooms.targets()
    with on(cluster, memory) as embedding:
        for batch in embedding.stream(files(), lambda: targets):
            assert all(made.embedded for made in batch.made)
            taken += len(batch.files)
    assert (pulled, taken) == (40, 40)
    assert 2 * BATCH < most <= (2 + 2 + 1) * BATCH, "a batch a worker, two to spare, and the one that is taken"


def test_a_node_that_leaves_takes_nothing_with_it(cluster: Any, memory: Memory, many: Path) -> None:
    leaving = next(node for node in cluster.worker_nodes)
    indexed = 0
    with on(cluster, memory) as embedding:
        results = memory._rooms.indexer(embedding).stream([many])
        for result in results:
            assert result.status == "indexed", result.error
            indexed += 1
            if indexed == 1:
                cluster.remove_node(leaving, allow_graceful=False)
    assert indexed == 40
    assert memory.stats()["embedded"] == 40
    cluster.add_node(num_cpus=1, num_gpus=0, object_store_memory=STORE_BYTES)


def test_vectors_of_another_encoder_are_refused(
    cluster: Any, new_memory: Callable[..., Memory], photos: Path, tmp_path: Path
) -> None:
    folder = made_encoders.turned(tmp_path / "encoder")
    memory = new_memory(model=str(folder))
    assert memory.encoder.fingerprint
    memory._rooms.targets()  # the collection is this encoder's
    shutil.rmtree(folder)
    made_encoders.narrowed(folder, 256)
    with pytest.raises(CollectionMismatch, match=r"on the Ray node .* are not those"):
        index(cluster, memory, photos)
    shutil.rmtree(folder)
    with pytest.raises(ModelUnavailable, match=r"cannot be had on the Ray node .* same path"):
        index(cluster, memory, photos)
    assert memory.stats()["assets"] == 0


def test_the_command_on_a_cluster(cluster: Any, home: Path, photos: Path) -> None:
    command = [str(Path(sys.executable).with_name("seemory")), "index", str(photos), "--json", "--model=seemory-mini"]
    command += [f"--home={home}", "--owner=ray", "--collection=ray-command", f"--ray={cluster.address}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == {"indexed": 8}
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("ray://there:10001", UsageError, "client protocol is not spoken"),
        ("there", UsageError, "HOST:PORT, auto or local"),
        ("127.0.0.1:1", ClusterUnreachable, "no Ray cluster answers at 127.0.0.1:1"),
    ],
)
def test_addresses_that_cannot_work(address: str, error: type[Exception], said: str, photos: Path, home: Path) -> None:
    """In a process that belongs to no cluster yet."""
    code = (
        "import sys; from seemory.memory import Memory; from seemory.settings import read_settings\n"
        "home, folder, address = sys.argv[1:]\n"
        "with Memory(read_settings(home=home, collection='ray-nowhere', model='seemory-mini')) as memory:\n"
        "    memory.index(folder, ray=address)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home), str(photos), address], capture_output=True, text=True, check=False
    )
    assert error.__name__ in done.stderr
    assert said in done.stderr


def test_without_ray_the_extra_is_named(memory: Memory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"seemory\[ray\]"):
        memory.index(photos, ray="auto")
