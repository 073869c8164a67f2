"""`seemory serve` as a process of its own: answers, limits, clients that leave, a stop amid requests."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from made_pictures import black_png
from served import Served, Start

from seemory.service.serving import _listener
from seemory.store.connect import open_database
from seemory.store.keys import Keys


@pytest.fixture(scope="module")
def served(start_served: Start, package_photographs: dict[str, Path]) -> Served:
    """A server with eight photographs, which were uploaded."""
    made = start_served(service__max_upload_bytes=3_000_000)
    for path in package_photographs.values():
        assert made.upload(path.read_bytes(), "application/octet-stream").status_code == 201
    return made


def plain(document: Any) -> Any:
    return json.loads(json.dumps(document, default=str))


# -- answers -----------------------------------------------------------------------------------------------------------


def test_answers_are_the_librarys(served: Served, package_photographs: dict[str, Path]) -> None:
    cat = package_photographs["cat"].read_bytes()
    item = served.memory.search("a cat")[0].item_id
    asked: list[tuple[httpx.Response, dict[str, Any]]] = [
        (served.search(words="a cat"), {"words": "a cat"}),
        (served.search(words="a rocket", limit=3, offset=1), {"words": "a rocket", "limit": 3, "offset": 1}),
        (served.search(words="x", where=["width>=600"]), {"words": "x", "where": ["width>=600"]}),
        (served.search(words="x", min_score=0.2, kind="image"), {"words": "x", "min_score": 0.2, "kind": "image"}),
        (
            served.search(words="a cat", weights={"words": 0}, fusion="minmax"),
            {"words": "a cat", "weights": {"words": 0}},
        ),
        (served.search(like=str(item)), {"like": str(item)}),
        (served.search(like=str(item)[:8], words="coffee"), {"like": str(item)[:8], "words": "coffee"}),
        (
            served.client.post(
                "/v1/search?limit=4&where=width>=300&where=height>=300",
                content=cat,
                headers={"Content-Type": "image/png"},
            ),
            {"image": cat, "limit": 4, "where": ["width>=300", "height>=300"]},
        ),
    ]
    for answer, given in asked:
        assert answer.status_code == 200, answer.text
        hits = served.memory.search(**given)
        assert [hit["item_id"] for hit in answer.json()["hits"]] == [str(hit.item_id) for hit in hits], given
        for said, hit in zip(answer.json()["hits"], hits, strict=True):
            assert said.keys() == hit.as_json().keys()
            assert said["cosine"] == pytest.approx(hit.cosine, abs=1e-3)
    assert asked[0][0].json().keys() == {
        "query", "hits", "channels", "fusion", "route", "collection", "model", "milliseconds",
    }  # fmt: skip


def test_an_item_from_upload_to_deletion(served: Served, package_photographs: dict[str, Path]) -> None:
    content = package_photographs["cat"].read_bytes() + b"another copy"
    added = served.upload(content)
    assert (added.status_code, added.json()["new"]) == (201, True)
    place = added.headers["Location"]
    again = served.upload(content)
    assert (again.status_code, again.json()) == (200, {"item_id": added.json()["item_id"], "new": False})
    shown = served.client.get(place).json()
    item = served.memory.get(added.json()["item_id"])
    assert (shown["item_id"], shown["width"], shown["bytes"]) == (str(item.item_id), 451, len(content))
    small = served.client.get(f"{place}/thumbnail")
    assert (small.headers["Content-Type"], small.content) == ("image/jpeg", served.memory.thumbnail(item.item_id))
    assert Path(item.uri).read_bytes() == content
    assert served.client.delete(place).status_code == 204
    assert not Path(item.uri).exists()
    for gone in (served.client.get(place), served.client.delete(place), served.client.get(f"{place}/thumbnail")):
        assert (gone.status_code, gone.json()["error"]["type"]) == (404, "ItemNotFound")


def test_thirty_two_clients_get_the_answers_that_one_gets(served: Served, package_photographs: dict[str, Path]) -> None:
    words = [f"{text} {n}" for n in range(8) for text in ("a cat", "a rocket that is launched", "coffee", "flower")]
    pictures = [path.read_bytes() for path in package_photographs.values()]

    def by_words(text: str) -> list[tuple[str, float]]:
        return [(hit["item_id"], hit["cosine"]) for hit in served.search(words=text).json()["hits"]]

    def by_picture(content: bytes) -> list[tuple[str, float]]:
        answer = served.client.post("/v1/search", content=content, headers={"Content-Type": "image/png"})
        return [(hit["item_id"], hit["cosine"]) for hit in answer.json()["hits"]]

    passes = served.metric("seemory_passes_total")
    with ThreadPoolExecutor(32) as pool:
        found = [*pool.map(by_words, words), *pool.map(by_picture, pictures * 2)]
    shared = served.metric("seemory_passes_total") - passes
    assert shared < len(words) + 2 * len(pictures), "no pass was shared"
    alone = [
        *([(str(hit.item_id), hit.cosine) for hit in served.memory.search(text)] for text in words),
        *([(str(hit.item_id), hit.cosine) for hit in served.memory.search(image=one)] for one in pictures * 2),
    ]
    for one, other in zip(found, alone, strict=True):
        assert dict(one).keys() == dict(other).keys()
        assert all(abs(dict(one)[item] - cosine) < 1e-3 for item, cosine in other)


def test_lists_likenesses_originals_duplicates_and_labels(served: Served, package_photographs: dict[str, Path]) -> None:
    first = served.client.get("/v1/items", params={"limit": 3}).json()
    rest = served.client.get("/v1/items", params={"limit": 1000, "offset": 3}).json()["items"]
    items = [*first["items"], *rest]
    assert [item["item_id"] for item in items] == [str(item.item_id) for item in served.memory.items()]
    assert items[0] == plain(asdict(served.memory.get(items[0]["item_id"])))
    narrow = served.client.get("/v1/items", params={"where": ["width>=600", "height>=400"]}).json()["items"]
    assert {item["item_id"] for item in narrow} == {
        str(item.item_id) for item in served.memory.items(where=["width>=600", "height>=400"])
    }
    one = items[0]["item_id"]
    near = served.client.get(f"/v1/items/{one}/similar", params={"limit": 4}).json()["hits"]
    assert [hit["item_id"] for hit in near] == [str(hit.item_id) for hit in served.memory.search(like=one, limit=4)]
    for item in items:
        original = served.client.get(f"/v1/items/{item['item_id']}/original")
        assert original.status_code == 200
        assert sha256(original.content).hexdigest() == item["sha256"]
        assert original.headers["Content-Type"] == {"PNG": "image/png", "JPEG": "image/jpeg"}[item["format"]]
    cat = package_photographs["cat"].read_bytes()
    twin = served.upload(cat + b"a twin").json()["item_id"]
    groups = served.client.get("/v1/duplicates").json()
    assert any({item["sha256"] for item in group["items"]} >= {sha256(cat).hexdigest()} for group in groups["near"])
    assert served.client.delete(f"/v1/items/{twin}").status_code == 204
    labels = served.client.post(
        "/v1/classify", params={"label": ["a cat", "a rocket"]}, content=cat, headers={"Content-Type": "image/png"}
    ).json()["labels"]
    assert labels == plain([asdict(one) for one in served.memory.classify(cat, ["a cat", "a rocket"])])
    assert sum(one["probability"] for one in labels) == pytest.approx(1)


def test_no_original_outside_the_roots(start_served: Start, photos: Path, tmp_path: Path) -> None:
    inside, outside = photos / "inside", tmp_path / "outside"
    for folder, name in ((inside, "cat.png"), (outside, "coffee.png")):
        folder.mkdir()
        (photos / name).rename(folder / name)
    (inside / "link.png").symlink_to(outside / "coffee.png")
    rooted = start_served(service__roots=json.dumps([str(inside)]))
    assert rooted.memory.index(inside, outside).indexed >= 2
    for item in rooted.memory.items():
        answer = rooted.client.get(f"/v1/items/{item.item_id}/original")
        allowed = Path(item.uri).resolve().is_relative_to(inside.resolve())
        assert answer.status_code == (200 if allowed else 404), item.uri
        assert str(tmp_path) not in answer.headers.get("Content-Disposition", "") + (answer.text if not allowed else "")
    said = rooted.memory.remember("A text has no file")
    assert rooted.client.get(f"/v1/items/{said.item_id}/original").status_code == 404
    (inside / "cat.png").unlink()
    gone = next(item for item in rooted.memory.items() if item.uri.endswith("cat.png"))
    assert rooted.client.get(f"/v1/items/{gone.item_id}/original").status_code == 404


# -- what is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "status", "error"),
    [
        (b"no picture at all", "image/jpeg", 415, "UnsupportedMedia"),
        (b"\xff\xd8\xff\xe0 damaged", "image/jpeg", 422, "UnreadableMedia"),
        (b"", "image/jpeg", 422, "UnreadableMedia"),
        (black_png(20_000, 20_000), "image/png", 413, "MediaTooLarge"),
        (b"x" * 3_000_001, "image/jpeg", 413, "BodyTooLarge"),
        (b"{}", "application/json", 415, "NoPicture"),
        (b"--x", "multipart/form-data; boundary=x", 415, "NoPicture"),
    ],
)
def test_a_bad_upload_is_refused_and_leaves_nothing(
    served: Served, content: bytes, kind: str, status: int, error: str
) -> None:
    def held() -> dict[str, object]:
        return {name: value for name, value in served.memory.stats().items() if not name.endswith("_bytes")}

    before = held()
    answer = served.upload(content, kind)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, error)
    assert str(served.memory.home) not in answer.text
    assert {**served.memory.stats(), "table_bytes": 0, "index_bytes": 0} == {
        **before,
        "table_bytes": 0,
        "index_bytes": 0,
    }


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 422, "Invalid"),
        (b"{", 422, "Invalid"),
        (b"[]", 422, "Invalid"),
        (b"\xff\xfe", 422, "Invalid"),
        (b'{"words": 3}', 422, "Invalid"),
        (b'{"words": "x", "image": "/etc/passwd"}', 422, "Invalid"),
        (b'{"words": "x", "plus": ["/etc/passwd"]}', 422, "Invalid"),
        (b'{"words": "x", "limit": 0}', 422, "Invalid"),
        (b'{"words": "x", "limit": 1e99}', 422, "Invalid"),
        (b'{"words": "x", "where": ["nonsense"]}', 400, "UsageError"),
        (b'{"words": "x", "weights": {"smell": 1}}', 400, "UsageError"),
        (b'{"words": "x", "weights": {"words": NaN}}', 400, "UsageError"),
        (b'{"like": "/etc/passwd"}', 404, "ItemNotFound"),
        (b"{}", 400, "UsageError"),
        (b" " * 1_000_001, 413, "BodyTooLarge"),
    ],
)
def test_a_bad_search_is_refused(served: Served, body: bytes, status: int, error: str) -> None:
    answer = served.client.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, error), answer.text


def test_other_methods_paths_and_ids(served: Served) -> None:
    for answer, status in (
        (served.client.get("/v1/search"), 405),
        (served.client.get("/v1/nothing"), 404),
        (served.client.get("/v1/items/no-id"), 422),
        (served.client.get(f"/v1/items/{uuid4()}"), 404),
        (served.client.post("/v1/search?limit=x", content=b"x", headers={"Content-Type": "image/png"}), 422),
        (served.client.post("/v1/search", content=b"words=x"), 415),
    ):
        assert answer.status_code == status, answer.text
        assert answer.json()["error"].keys() == {"type", "message"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["attacker.example", "127.0.0.1.attacker.example", "[::2]", "10.0.0.1:80", "", "localhost@x"]
)
def test_a_name_that_was_made_to_mean_this_machine_is_refused(served: Served, host: str) -> None:
    for request in ("GET /v1/openapi.json", "GET /metrics", "GET /healthz", "DELETE /v1/items/x"):
        assert b" 421 " in served.raw(f"{request} HTTP/1.1\nHost: {host}").partition(b"\r\n")[0]
    twice = served.raw("GET /healthz HTTP/1.1\nHost: localhost\nHost: x").partition(b"\r\n")[0]
    assert b" 421 " in twice or b" 400 " in twice


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "127.8.0.1", "[::1]:80", "LOCALHOST:8600"])
def test_this_machines_names_are_answered(served: Served, host: str) -> None:
    assert b" 200 " in served.raw(f"GET /healthz HTTP/1.1\nHost: {host}").partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_origin_may_not_ask(served: Served, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/v1/search"), ("POST", "/v1/items"), ("DELETE", f"/v1/items/{uuid4()}")):
        answer = served.client.request(method, path, headers=headers | {"Content-Type": "image/png"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "OtherOrigin")
    assert "access-control-allow-origin" not in served.client.get("/healthz", headers=headers).headers
    own = {"Origin": f"http://127.0.0.1:{served.port}", "Sec-Fetch-Site": "same-origin"}
    assert served.client.post("/v1/search", json={"words": "a cat"}, headers=own).status_code == 200


# -- too much, too slow, gone ------------------------------------------------------------------------------------------


def test_beyond_the_queue_it_is_429_and_what_has_a_place_is_answered(
    start_served: Start, package_photographs: dict[str, Path]
) -> None:
    small = start_served(service__queue=3)
    picture = package_photographs["motorcycle"].read_bytes()
    assert small.upload(picture).status_code == 201

    def one(n: int) -> httpx.Response:
        with httpx.Client(base_url=small.client.base_url, timeout=60) as client:
            return client.post("/v1/search", content=picture, headers={"Content-Type": "image/png"})

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(one, range(72)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["type"] == "Busy"
    assert refused.headers["Retry-After"] == "1"
    assert small.metric("seemory_failures_total", reason="Busy") == statuses.count(429)
    assert small.metric("seemory_requests_under_way") == 0
    assert one(0).status_code == 200
    assert small.stop()[0] == 0


def test_a_slow_body_loses_its_place_and_a_slow_answer_is_not_waited_for(
    start_served: Start, package_photographs: dict[str, Path]
) -> None:
    hasty = start_served(service__timeout_s=0.5, service__queue=1)
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=60) as connection:
        head = b"POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nx"
        connection.sendall(head)
        assert b" 408 " in connection.recv(4096)
    assert hasty.metric("seemory_requests_under_way") == 0
    assert hasty.metric("seemory_timeouts_total", reason="body") == 1
    with httpx.Client(base_url=hasty.client.base_url, timeout=60) as client:
        assert client.get(f"/v1/items/{uuid4()}").status_code == 404


def test_bodies_that_never_come_leave_places_to_other_owners(start_served: Start) -> None:
    small = start_served(service__queue=4, service__keys="required")
    keys = Keys(small.memory.database)
    slow, other, operator = (
        keys.create(f"{small.memory.owner}-{name}", "admin")[0] for name in ("slow", "other", "op")
    )
    small.client.headers["Authorization"] = f"Bearer {operator}"
    head = f"POST /v1/items HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {slow}\r\n"
    with contextlib.ExitStack() as held:
        for _ in range(3):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", small.port), timeout=60))
            connection.sendall(f"{head}Content-Type: image/png\r\nContent-Length: 100\r\n\r\nx".encode())
        end = time.monotonic() + 30
        while small.metric("seemory_requests_under_way") < 3:
            assert time.monotonic() < end
            time.sleep(0.02)
        asked = f"/v1/items/{uuid4()}"
        with httpx.Client(base_url=small.client.base_url, timeout=60) as client:
            refused = client.get(asked, headers={"Authorization": f"Bearer {slow}"})
            assert refused.status_code == 429
            assert "with your keys" in refused.json()["error"]["message"]
            assert client.get(asked, headers={"Authorization": f"Bearer {other}"}).status_code == 404
    while small.metric("seemory_requests_under_way"):  # whoever leaves gives the place back
        assert time.monotonic() < end
        time.sleep(0.02)
    assert small.client.get(asked, headers={"Authorization": f"Bearer {slow}"}).status_code == 404


def test_a_client_that_leaves_is_not_worked_for(served: Served, package_photographs: dict[str, Path]) -> None:
    picture = package_photographs["motorcycle"].read_bytes()
    gone = served.metric("seemory_failures_total", reason="ClientGone")
    head = f"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(picture)}"
    end = time.monotonic() + 60
    while served.metric("seemory_failures_total", reason="ClientGone") <= gone:  # one that is quick may be answered
        assert time.monotonic() < end
        for _ in range(24):
            with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
                connection.sendall(head.encode() + b"\r\n\r\n" + picture)
        while served.metric("seemory_requests_under_way"):
            assert time.monotonic() < end
            time.sleep(0.05)
    assert served.search(words="a cat").status_code == 200


def test_health_readiness_figures_and_description(served: Served) -> None:
    assert served.client.get("/healthz").json() == {"status": "ok"}
    assert served.client.get("/readyz").json() == {"status": "ready", "model": "seemory-mini"}
    for figure in ("seemory_text_passes_total", "seemory_passes_total"):
        before = served.metric(figure)
        assert served.search(words=f"never asked before, {uuid4()}").status_code == 200
        assert served.metric(figure) > before
    for stage in ("decode", "embed", "search", "write"):
        assert served.metric("seemory_stage_seconds_count", stage=stage) > 0, stage
    for tower in ("image", "text"):
        assert served.metric("seemory_inference_seconds_count", tower=tower) > 0
        assert served.metric("seemory_queue_length", tower=tower) == 0
    assert served.metric("seemory_items_with_vector_ratio", owner=served.memory.owner) == 1
    before = served.metric("seemory_failures_total", reason="HTTPError")
    assert served.client.get("/v1/nothing").status_code == 404
    assert served.metric("seemory_failures_total", reason="HTTPError") == before + 1
    assert served.metric("seemory_timeouts_total") == served.metric("seemory_jobs_running") == 0
    before = served.metric("seemory_requests_total", route="/v1/items/{item_id}", status="404")
    served.client.get(f"/v1/items/{uuid4()}")
    assert served.metric("seemory_requests_total", route="/v1/items/{item_id}", status="404") == before + 1
    described = served.client.get("/v1/openapi.json").json()["paths"]
    assert {(path, method) for path, methods in described.items() for method in methods} == {
        ("/v1/search", "post"),
        ("/v1/items", "post"),
        ("/v1/items", "get"),
        ("/v1/items/{item_id}/similar", "get"),
        ("/v1/items/{item_id}/original", "get"),
        ("/v1/duplicates", "get"),
        ("/v1/classify", "post"),
        ("/v1/embeddings", "post"),
        ("/v1/models", "get"),
        ("/v1/items/{item_id}", "get"),
        ("/v1/items/{item_id}", "delete"),
        ("/v1/items/{item_id}/thumbnail", "get"),
        ("/v1/advise", "post"),
        ("/v1/jobs/upload", "post"),
        ("/v1/jobs/index", "post"),
        ("/v1/jobs/retry", "post"),
        ("/v1/jobs", "get"),
        ("/v1/jobs/{job_id}", "get"),
        ("/v1/jobs/{job_id}", "delete"),
        ("/v1/jobs/{job_id}/events", "get"),
        ("/v1/reembedding", "get"),
        ("/v1/reembedding", "post"),
        ("/v1/reembedding/switch", "post"),
        ("/v1/reembedding/rollback", "post"),
        ("/v1/advisors", "get"),
        ("/v1/advisors/{name}", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    }


# -- starting and stopping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_is_under_way_and_loses_no_upload(
    start_served: Start, package_photographs: dict[str, Path], how: signal.Signals
) -> None:
    stopping = start_served()
    pictures = [path.read_bytes() + bytes([n]) for n in range(4) for path in package_photographs.values()]
    assert stopping.upload(pictures[0]).status_code == 201

    def one(content: bytes) -> int | str:
        try:
            with httpx.Client(base_url=stopping.client.base_url, timeout=60) as client:
                return client.post("/v1/items", content=content, headers={"Content-Type": "image/png"}).status_code
        except httpx.TransportError as error:
            return type(error).__name__

    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(one, content) for content in pictures[1:]]
        while not any(one.done() for one in waiting):
            time.sleep(0.005)
        code, said = stopping.stop(how)
        outcomes = [one.result() for one in waiting]
    assert code == 0, said
    assert "Traceback" not in said
    done = outcomes.count(201)
    assert 0 < done < len(outcomes), "it was to be stopped amid them"
    assert set(outcomes) <= {201, "ConnectError", "ReadError", "RemoteProtocolError"}, outcomes
    assert len(list(stopping.memory.items())) >= 1 + done, "what was answered is there"


def test_only_this_machine_is_served(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from seemory.cli import main

    with open_database(None, home=home) as database:
        keys = Keys(database)
        for key in keys.all():
            keys.revoke(str(key.id))
    for host in ("0.0.0.0", "::"):
        with pytest.raises(SystemExit) as left:
            main(["serve", "--home", str(home), "--host", host, "--port", "0"])
        assert left.value.code == 2
        said = capfd.readouterr().err
        assert "not this machine alone" in said
        assert "seemory keys create" in said


def test_the_end_of_an_answer_does_not_wait_for_an_acknowledgement_of_its_beginning() -> None:
    """40 ms of each request on a kept connection, where it does."""
    with _listener("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        taken, _ = listener.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_told_at_once(served: Served, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from seemory.cli import main

    with pytest.raises(SystemExit) as left:
        main(["serve", "--home", str(home), "--port", str(served.port)])
    assert left.value.code == 2
    assert f"cannot listen on 127.0.0.1 port {served.port}" in capfd.readouterr().err
