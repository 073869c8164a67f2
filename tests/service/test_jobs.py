"""Jobs: many files at once, folders by path, another encoder; how far they are, their end, who goes on with them."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from made_encoders import turned
from made_pictures import photograph

from seemory.memory import Memory
from seemory.metrics import Metrics
from seemory.service.app import make_app
from seemory.service.jobs.arriving import Arriving
from seemory.service.jobs.orders import Order, Orders
from seemory.service.refusals import Refused
from seemory.settings import ServiceSettings
from seemory.store.jobs import OwnersJobs
from seemory.telemetry import Stopped

Ask = Callable[..., httpx.Response]


class Service:
    """The whole application, asked in this process."""

    def __init__(self, memory: Memory, **options: Any) -> None:
        self.memory = memory
        self.guard: Any = make_app(memory, ServiceSettings(keys="none", timeout_s=60, **options), Metrics())
        app = self.guard
        while not hasattr(app, "state"):
            app = app._app
        self.jobs = app.state.jobs

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.guard)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
                return await client.request(method, path, **given)

        return anyio.run(ask)

    def ended(self, answer: httpx.Response) -> dict[str, Any]:
        """The job, once it has ended, as its stream of events tells it."""
        assert answer.status_code == 202, answer.text
        return self.heard(answer)[-1][1]

    def heard(self, answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
        stream = self("GET", answer.headers["Location"] + "/events")
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [part.split("\n") for part in stream.text.split("\n\n") if part and not part.startswith(":")]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in events]

    def left(self) -> list[Path]:
        """What lies in the data folder of its jobs, once they have had a moment to clear up."""
        for _ in range(100):
            if not (found := self._left()):
                break
            time.sleep(0.02)
        return found

    def _left(self) -> list[Path]:
        jobs = OwnersJobs(self.memory.database, self.memory.owner).all(self.memory.collection)
        return [folder for job in jobs if (folder := self.memory.home / "jobs" / str(job.id)).exists()]


@pytest.fixture
def serve(new_memory: Callable[..., Memory]) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def start(**options: Any) -> Service:
        made.append(Service(new_memory(index={"batch_size": 4}), **options))
        return made[-1]

    yield start
    for service in made:
        service.jobs.close()


@cache
def small(seed: int) -> bytes:
    out = BytesIO()
    photograph(seed=seed).save(out, "PNG")
    return out.getvalue()


def form(*files: tuple[str, bytes]) -> dict[str, Any]:
    return {"files": [("pictures", (name, content, "image/png")) for name, content in files]}


def test_many_files_are_one_job_that_says_how_far_it_is(
    serve: Callable[..., Service], package_photographs: dict[str, Path]
) -> None:
    ask = serve(max_upload_bytes=1_000_000)
    cat = package_photographs["cat"].read_bytes()
    files = [("cat.png", cat), ("broken.png", b"\x89PNG none"), ("../../cat again", cat)]
    files += [(f"{n}.png", small(n)) for n in range(12)]
    events = ask.heard(ask("POST", "/v1/jobs/upload", **form(*files)))
    assert [name for name, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    name, job = events[-1]
    assert (name, job["state"], job["done"], job["total"], job["problem"]) == ("end", "done", 15, 15, None)
    report = job["report"]
    assert (report["added"], report["known"], report["failed"]) == (13, 1, 1)
    assert [one["file"] for one in report["errors"]] == ["broken.png"]
    told = {one["file"]: one["item_id"] for one in report["items"]}
    assert told["cat.png"] == told["../../cat again"]
    assert {UUID(item) for item in told.values()} == {item.item_id for item in ask.memory.items()}
    assert ask.left() == []
    assert ask("GET", f"/v1/jobs/{job['id']}").json() == job == ask("GET", "/v1/jobs").json()["jobs"][0]
    assert ask("DELETE", f"/v1/jobs/{job['id']}").json()["state"] == "done", "what has ended stays as it is"


def test_a_form_that_cannot_be_read_begins_nothing(serve: Callable[..., Service], tmp_path: Path) -> None:
    ask = serve(max_upload_bytes=2000, max_batch_bytes=20_000)
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    file = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
    for status, kind, given in (
        (415, "NoForm", {"content": b"x", "headers": {"Content-Type": "image/png"}}),
        (415, "NoForm", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
        (422, "BrokenForm", {"content": b"nonsense", "headers": head}),
        (422, "BrokenForm", {"content": file + b"never ended", "headers": head}),
        (422, "BrokenForm", {"content": b"--x\r\n" + b"A: " + b"b" * 9000 + b"\r\n\r\n", "headers": head}),
        (422, "NoFile", {"content": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb', "headers": head}),
        (422, "NoFiles", {"content": b"--x--\r\n", "headers": head}),
        (413, "FileTooLarge", form(("a", b"x" * 2001))),
        (413, "BodyTooLarge", form(*[("a", b"x" * 1900)] * 11)),
    ):
        answer = ask("POST", "/v1/jobs/upload", **given)
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind), answer.text
    few = Arriving(head["Content-Type"], tmp_path, most_bytes=1, most_files=2)
    with pytest.raises(Refused, match="at most 2 files"):
        few.write((file + b"\r\n") * 3)
    few.close()
    assert ask("GET", "/v1/jobs").json() == {"jobs": []}
    assert ask.left() == []


def test_folders_are_indexed_by_path_where_that_is_allowed_and_nowhere_else(
    serve: Callable[..., Service], photos: Path, tmp_path: Path
) -> None:
    inside, outside = photos / "inside", tmp_path / "outside"
    for folder, name in ((inside, "cat.png"), (outside, "coffee.png")):
        folder.mkdir()
        (photos / name).rename(folder / name)
    (inside / "link.png").symlink_to(outside / "coffee.png")
    (inside / "linked").symlink_to(outside)
    ask = serve(index_roots=(inside,))
    done = ask.ended(ask("POST", "/v1/jobs/index", json={"paths": [str(inside)]}))
    assert (done["state"], done["report"]["counts"]) == ("done", {"indexed": 1}), done
    assert [Path(item.uri).name for item in ask.memory.items()] == ["cat.png"]
    for path in (outside, photos, inside / ".." / "rocket.jpg", inside / "linked", inside / "link.png",
                 outside / "absent", "/etc/passwd", "/", "inside", "~", f"{inside}\x00", "a" * 4000):  # fmt: skip
        answer = ask("POST", "/v1/jobs/index", json={"paths": [str(inside), str(path)]})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "OutsideRoots"), path
    assert ask("POST", "/v1/jobs/index", json={"paths": [str(inside / "absent")]}).status_code == 404
    assert serve()("POST", "/v1/jobs/index", json={"paths": [str(inside)]}).status_code == 403
    assert len(ask("GET", "/v1/jobs").json()["jobs"]) == 1


def test_a_job_ends_when_it_is_told_to_and_what_it_has_done_stays(
    serve: Callable[..., Service], tmp_path: Path
) -> None:
    for n in range(60):
        (tmp_path / f"{n}.png").write_bytes(small(n))
    ask = serve(index_roots=(tmp_path,))
    begun = ask("POST", "/v1/jobs/index", json={"paths": [str(tmp_path)]})
    waits = ask("POST", "/v1/jobs/retry")
    assert ask("DELETE", waits.headers["Location"]).json()["state"] == "cancelled", "one that waits ends at once"
    while not list(ask.memory.items()):
        time.sleep(0.01)
    assert ask("DELETE", begun.headers["Location"]).json()["cancel"]
    job = ask.ended(begun)
    assert (job["state"], job["report"]["interrupted"]) == ("cancelled", True)
    assert 0 < len(list(ask.memory.items())) == job["report"]["counts"]["indexed"] < 60
    assert ask.left() == []
    assert ask("DELETE", f"/v1/jobs/{uuid4()}").status_code == 404
    for _ in range(8):
        OwnersJobs(ask.memory.database, ask.memory.owner).begin(uuid4(), "index", ask.memory.collection)
    refused = ask("POST", "/v1/jobs/retry")
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "TooManyJobs")


def test_a_service_that_ends_lays_its_jobs_down_and_the_next_goes_on(
    serve: Callable[..., Service], tmp_path: Path
) -> None:
    for n in range(60):
        (tmp_path / f"{n}.png").write_bytes(small(n))
    ask = serve(index_roots=(tmp_path,))
    begun = ask("POST", "/v1/jobs/index", json={"paths": [str(tmp_path)]}).json()
    while not list(ask.memory.items()):
        time.sleep(0.01)
    ask.jobs.close()
    assert ask("GET", f"/v1/jobs/{begun['id']}").json()["state"] == "waiting"
    assert 0 < len(list(ask.memory.items())) < 60
    other = Service(ask.memory, index_roots=(tmp_path,))
    other.jobs._look()
    while (job := other("GET", f"/v1/jobs/{begun['id']}").json())["ended_at"] is None:
        time.sleep(0.01)
    other.jobs.close()
    assert (job["state"], len(list(ask.memory.items()))) == ("done", 60)
    assert ask.left() == []


def test_a_job_has_one_worker_and_another_one_only_when_that_is_silent(memory: Memory) -> None:
    jobs, job, (one, other) = OwnersJobs(memory.database, memory.owner), uuid4(), (uuid4(), uuid4())
    jobs.begin(job, "retry", memory.collection)

    def silent() -> None:
        with memory.database.transaction(memory.owner) as connection:
            connection.execute("UPDATE seemory.job SET seen_at = now() - interval '31 s' WHERE id = %s", [job])

    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(jobs.claim(job, one))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found is not None for found in got) == 1
    assert jobs.claim(job, other) is None
    silent()
    assert jobs.claim(job, other) is not None
    assert not jobs.tell(job, one, "x", 1, 2), "the first has lost it"
    jobs.end(job, one, "done")
    assert jobs.tell(job, other, "x", 1, 2)
    silent()
    assert jobs.claim(job, one) is not None
    silent()
    assert jobs.claim(job, one) is None, "it was begun three times"
    assert (found := jobs.find(job)) is not None
    assert (found.state, found.problem) == ("failed", "it was begun 3 times and never came to its end")
    assert OwnersJobs(memory.database, "somebody else").find(job) is None


def test_what_a_kill_leaves_behind_is_removed(memory: Memory, tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    job, folder = orders.open()
    orders.write(order := Order(job, memory.owner, memory.collection, "upload", {}, ("a", "b")))
    (half := orders.open()[1]).joinpath("000000").write_bytes(b"x")
    (tmp_path / "jobs" / "a file").write_text("none of ours")
    assert [order for order, _ in orders.all()] == [order]
    assert half.exists(), "somebody may still be sending"
    os.utime(half, (0, 0))
    list(orders.all())
    assert folder.exists()
    assert not half.exists()


def test_a_listener_may_stop_what_it_hears(memory: Memory, photos: Path) -> None:
    def stop(_: object) -> None:
        raise Stopped

    report = memory.index(photos, listen=stop)
    assert report.interrupted
    assert memory.index(photos).found == 8


def test_another_encoder_over_http(serve: Callable[..., Service], package_photographs: dict[str, Path]) -> None:
    ask = serve()
    ask.memory.index(package_photographs["cat"], package_photographs["coffee"])
    here = ask.memory.home / "models" / f"turned-{uuid4().hex[:8]}"
    here.parent.mkdir(exist_ok=True)
    turned(here)
    elsewhere = package_photographs["cat"].parent
    for unknown in ("no-such-model", str(elsewhere), "/etc", "\x00"):
        answer = ask("POST", "/v1/reembedding", json={"to": unknown})
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "ModelNotFound")
    assert ask("POST", "/v1/reembedding/switch", json={}).status_code == 400, "there is nothing to switch to"
    job = ask.ended(ask("POST", "/v1/reembedding", json={"to": str(here)}))
    assert (job["state"], job["kind"], job["report"]["verification"]["passed"]) == ("done", "reembed", True), job
    states = [one["state"] for one in ask("GET", "/v1/reembedding").json()["generations"]]
    assert states == ["live", "ready"]
    before = ask("POST", "/v1/search", json={"words": "a cat"}).json()
    swapped = ask("POST", "/v1/reembedding/switch", json={}).json()
    assert swapped["live"]["model"] == str(here)
    after = ask("POST", "/v1/search", json={"words": "a cat"}).json()
    assert after["model"] != before["model"]
    assert [hit["item_id"] for hit in after["hits"]] == [hit["item_id"] for hit in before["hits"]]
    assert ask("POST", "/v1/reembedding/rollback", json={"owners": ["nobody"]}).status_code == 400
    back = ask("POST", "/v1/reembedding/rollback", json={}).json()
    assert back["live"]["id"] == swapped["before"]["id"]
    assert ask("POST", "/v1/search", json={"words": "a cat"}).json()["model"] == before["model"]
    again = ask.ended(ask("POST", "/v1/reembedding", json={"to": "seemory-mini"}))
    assert (again["state"], "already" in again["problem"]) == ("failed", True)
    shutil.rmtree(here)
