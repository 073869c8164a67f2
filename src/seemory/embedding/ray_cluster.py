"""Joining a Ray cluster and leaving it, with errors that say what to do."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from typing import Any

from seemory.errors import ClusterUnreachable, UsageError

AUTO, LOCAL = "auto", "local"
_ANSWER_S = 5.0  # for a cluster's port to take a connection
_CPUS = 4  # of one worker, where the nodes have them: beyond, a forward pass of small batches gains little


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process has joined."""

    ours: bool
    """Whether it was joined here, so that it is left here too."""

    def places(self, cpus: int | None) -> tuple[int, int]:
        """(cores of one worker, how many workers find room). Raises ClusterUnreachable where none does."""
        import ray

        have = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        wanted = cpus or min([_CPUS, *(cores for cores in have if cores)])
        size = sum(cores // wanted for cores in have)
        if not any(have) or not size:
            raise ClusterUnreachable(
                f"no node of the Ray cluster has {wanted} cores for a worker (its nodes have {have}): "
                f"set index.ray_cpus lower, or start nodes with --num-cpus"
            )
        return wanted, size

    def leave(self) -> None:
        """Let the cluster go; a Ray that was started for this run ends."""
        if self.ours:
            import ray

            ray.shutdown()


def connect(address: str) -> Cluster:
    """The cluster at `host:port`, the one this machine belongs to (`auto`), or a new one on this machine (`local`).

    A process that has joined a cluster already stays in that one.

    Raises:
        UsageError: Ray is not installed, or the address is of the wrong form.
        ClusterUnreachable: nothing answers there, or it runs another Ray or Python.
    """
    require(address)
    # Set before Ray is imported: no reports of its use to anybody, and no remark about a future default.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return Cluster(ours=False)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        options |= {"include_dashboard": False, "num_gpus": 0}
    elif address != AUTO:
        _require_answer(address)
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        raise ClusterUnreachable(_no_cluster(address)) from error
    except Exception as error:  # Ray raises RuntimeError, ValueError and its own for what does not fit
        ray.shutdown()
        said = " ".join(str(error).split())[:400]
        raise ClusterUnreachable(f"the Ray cluster at {address} cannot be joined: {said}") from error
    return Cluster(ours=True)


def require(address: str) -> None:
    """Refuse what cannot work, before anything is connected. Raises UsageError."""
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise UsageError("Ray is not installed here: pip install 'seemory[ray]'")
    if address.startswith("ray://"):
        raise UsageError(
            f"{address}: Ray's client protocol is not spoken. Make this machine a node without work "
            f"(ray start --address=HOST:PORT --num-cpus=0) and name the cluster HOST:PORT, or auto"
        )
    if address not in (AUTO, LOCAL) and not re.fullmatch(r"(\[[^\]]+\]|[^:\s/]+):\d{1,5}", address):
        raise UsageError(f"not the address of a Ray cluster: {address!r}; write HOST:PORT, auto or local")


def _require_answer(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterUnreachable(f"{_no_cluster(address)} ({error})") from error


def _no_cluster(address: str) -> str:
    if address == AUTO:
        return "this machine belongs to no Ray cluster: `ray start --head`, name one (HOST:PORT), or use local"
    return f"no Ray cluster answers at {address}: is it running, and is this machine a node of it?"
