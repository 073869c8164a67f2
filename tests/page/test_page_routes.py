"""What the page's scripts are told: enough to show, and nobody's folders; the files behind items, and only those."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest

from seemory.memory import Memory
from seemory.service.page.landscape import Landscapes, project
from seemory.service.page.reports import Reports
from seemory.service.page.showing import name_of, without_places

from .conftest import MARKUP, Shown, serving


def told(library: Shown, path: str, **asked: Any) -> Any:
    answer = library.client.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("address", ["/", "/duplicates", "/map", "/advise", "/status"])
def test_a_page_loads_its_own_files_alone_and_knows_no_script_within(library: Shown, address: str) -> None:
    answer = library.client.get(address)
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=|https?://", answer.text)
    for link in re.findall(r'(?:src|href)="(/page/[^"]+)"', answer.text):
        file = library.client.get(link)
        assert file.status_code == 200
        assert "immutable" in file.headers["cache-control"]
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", file.text), f"{link} names another place"
    assert library.client.get("/page/files/0123456789abcdef/page.css").status_code == 404
    assert library.client.get("/v1/search").headers["content-security-policy"].startswith("default-src 'none'; frame")


def test_all_items_come_once_page_by_page(library: Shown) -> None:
    seen, after = [], None
    while True:
        found = told(library, "/page/items", limit=5, **({"after": after} if after else {}))
        seen += found["items"]
        after = found["next"]
        if after is None:
            break
    assert sorted(one["id"] for one in seen) == sorted(str(item.item_id) for item in library.memory.items())
    assert all(one["width"] and one["height"] for one in seen), "sizes are known before a picture is there"
    assert library.client.get("/page/items?after=yesterday").status_code == 422
    assert library.client.get("/page/items?after=2026-01-01T00:00:00_x").status_code == 422


def test_the_scenes_of_a_film_stand_in_its_order(library: Shown) -> None:
    starts = [one["start"] for one in told(library, "/page/items", kind="scene")["items"]]
    assert len(starts) == 2
    assert starts == sorted(starts)


def test_facets_count_what_could_be_chosen_instead(library: Shown) -> None:
    found = told(library, "/page/facets")
    assert found["total"] == 12
    assert dict(found["facets"]["kind"]) == {"image": 10, "scene": 2}
    assert dict(found["facets"]["tag"]) == {"animal": 1, "plant": 1, MARKUP: 1}
    chosen = told(library, "/page/facets", where=["tag=animal"], kind="image")
    assert chosen["total"] == 1
    assert dict(chosen["facets"]["tag"]) == {"animal": 1, "plant": 1, MARKUP: 1}, "another tag can be chosen"
    assert dict(chosen["facets"]["kind"]) == {"image": 1}
    assert [one["name"] for one in told(library, "/page/items", where=["tag=animal"])["items"]] == ["cat.png"]


def test_hits_are_the_librarys_and_say_why(library: Shown) -> None:
    asked = {"words": "a cat", "limit": 4}
    found = library.client.post("/page/search", json=asked).json()
    hits = library.memory.search("a cat", limit=4)
    assert [one["id"] for one in found["hits"]] == [str(hit.item_id) for hit in hits]
    assert [one["reasons"] for one in found["hits"]] == [list(hit.reasons) for hit in hits]
    assert [one["score"] for one in found["hits"]] == [round(hit.score, 4) for hit in hits]
    assert found["next"] == 4
    assert "A tabby <b>cat</b>" in {one["caption"] for one in found["hits"]}
    picture = (library.folder / "flower.jpg").read_bytes()
    sent = library.client.post("/page/search?limit=1", content=picture, headers={"Content-Type": "image/jpeg"}).json()
    assert sent["hits"][0]["name"] == "flower.jpg"
    like = library.client.post("/page/search", json={"like": found["hits"][0]["id"], "limit": 1}).json()["hits"][0]
    assert like["id"] != found["hits"][0]["id"]


def test_nothing_says_where_files_lie_or_whose_they_are(library: Shown) -> None:
    item = library.item("cat.png")
    answers = [
        told(library, "/page/items"),
        told(library, "/page/facets"),
        told(library, "/page/item", id=str(item)),
        library.client.post("/page/search", json={"words": "cat", "kind": "image"}).json(),
        library.client.post("/page/search", json={"words": "a rocket", "kind": "scene", "group": True}).json(),
        told(library, "/page/duplicates", threshold=0.5),
        told(library, "/page/map"),
        told(library, "/page/status"),
    ]
    for answer in answers:
        text = json.dumps(answer)
        assert str(library.folder.parent) not in text
        assert library.folder.name not in text
        assert library.memory.owner not in text
    assert told(library, "/page/item", id=str(item))["tags"] == ["animal", MARKUP]
    assert library.client.get(f"/page/item?id={uuid4()}").status_code == 404


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/home/anna/x.jpg", "x.jpg"),
        (r"C:\Users\anna\x.jpg", "x.jpg"),
        ("https://host/folder/x.jpg?token=secret", "x.jpg"),
        (f"/data/pictures/0/ab/{'ab' * 32}.jpg", "Uploaded picture"),
        ("x", "x"),
    ],
)
def test_a_name_is_what_stands_after_the_folders(uri: str, name: str) -> None:
    assert name_of(uri) == name


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Image not found: /home/anna/My Pictures/x y.jpg", "Image not found: x y.jpg"),
        (r"UnreadableMedia: C:\Users\anna\x.jpg: truncated", "UnreadableMedia: x.jpg: truncated"),
        ("Timeout after 2.0s", "Timeout after 2.0s"),
        ("no jpeg and/or png", "no jpeg and/or png"),
    ],
)
def test_reasons_name_no_folders(reason: str, said: str) -> None:
    assert without_places(reason) == said


def test_duplicates_stand_together(library: Shown) -> None:
    found = told(library, "/page/duplicates", threshold=0.999)
    assert sorted(sorted(one["name"] for one in group) for group in found["exact"]) == [
        sorted([f"{MARKUP}.png", "coffee.png"]),
        ["cat once more.png", "cat.png"],
    ]
    assert all(one["bytes"] for group in found["exact"] for one in group)
    assert library.client.get("/page/duplicates?threshold=2").status_code == 422


def test_a_map_has_every_item_once_and_is_kept_until_something_changes(library: Shown) -> None:
    found = told(library, "/page/map")
    assert {one["id"] for one in found["items"]} == {str(item.item_id) for item in library.memory.items()}
    assert all(-1 <= one[axis] <= 1 for one in found["items"] for axis in "xy")
    at = {one["name"]: (one["x"], one["y"]) for one in found["items"]}
    assert at["cat.png"] == pytest.approx(at["cat once more.png"], abs=0.2), "the same picture is at the same place"
    maps = Landscapes()
    assert maps.of(library.memory) is maps.of(library.memory)
    before = maps.of(library.memory)
    library.memory.describe(library.item("temple"), caption="A temple")
    after = maps.of(library.memory)
    assert after is not before
    assert "A temple" in {one["caption"] for one in after["items"]}
    library.memory.describe(library.item("temple"), caption="")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_a_projection_keeps_what_is_far_apart(count: int) -> None:
    random = np.random.default_rng(1)
    sides = np.repeat([[1.0], [-1.0]], [count - count // 2, count // 2], axis=0)
    vectors = (sides * np.eye(8)[0] + 0.01 * random.normal(size=(count, 8))).astype(np.float32)
    places, share = project(vectors) if count else (np.zeros((0, 2)), 1.0)
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    if count > 2:
        assert share > 0.9
        assert len({bool(x > 0) for x in places[sides[:, 0] > 0, 0]}) == 1, "one side of it is on one side"
    same, _ = project(np.ones((5, 8), np.float32))
    assert np.isfinite(same).all()


def test_a_report_is_for_who_asked(library: Shown) -> None:
    reports = Reports()
    name = reports.keep("anna", "<p>hers</p>")
    assert reports.find("anna", name) == b"<p>hers</p>"
    assert reports.find("berta", name) is None
    assert reports.find("", "x") is None
    for _ in range(40):
        reports.keep("berta", "")
    assert reports.find("anna", name) is None, "the oldest is let go"


def test_what_failed_is_told_and_tried_again(library: Shown) -> None:
    bad = library.folder / "broken.jpg"
    bad.write_bytes(b"nothing")
    library.memory.index(bad)
    try:
        found = told(library, "/page/status")
        assert (found["items"], found["failed"], found["model"]) == (12, 1, "seemory-mini")
        assert [(one["state"], one["done"], one["total"]) for one in found["generations"]] == [("live", 12, 12)]
        (failed,) = found["files"]
        assert failed["name"] == "broken.jpg"
        assert str(library.folder) not in json.dumps(found)
        bad.write_bytes((library.folder / "astronaut.png").read_bytes())
        assert library.client.post("/page/retry").status_code == 202
        for _ in range(200):
            found = told(library, "/page/status")
            if not found["retry"]["running"]:
                break
            time.sleep(0.05)
        assert found["retry"] | {"done": 0, "total": 0} == {
            "running": False, "done": 0, "total": 0, "mended": 1, "failed": 0, "problem": None,
        }  # fmt: skip
        assert (found["files"], found["items"]) == ([], 13)
    finally:
        library.memory.forget([str(bad)])
        bad.unlink()


# -- originals ---------------------------------------------------------------------------------------------------------


def test_the_file_of_an_item_whole_and_in_ranges(library: Shown) -> None:
    film = (library.folder / "two.mp4").read_bytes()
    address = f"/page/originals/{library.item('two.mp4')}"
    whole = library.client.get(address)
    assert (whole.status_code, whole.content) == (200, film)
    assert whole.headers["content-type"] == "video/mp4"
    assert "sandbox" in whole.headers["content-security-policy"]
    part = library.client.get(address, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, film[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(film)}"
    assert library.client.get(address, headers={"Range": f"bytes={len(film)}-"}).status_code == 416
    cat = library.client.get(f"/page/originals/{library.item('cat.png')}")
    assert (cat.content, cat.headers["content-type"]) == ((library.folder / "cat.png").read_bytes(), "image/png")


def test_a_file_that_has_changed_or_gone_is_not_given(library: Shown) -> None:
    path = library.folder / "temple.jpg"
    address = f"/page/originals/{library.item('temple.jpg')}"
    content, state = path.read_bytes(), path.stat()
    try:
        path.write_text("somebody's letters")
        assert library.client.get(address).status_code == 404
        path.unlink()
        gone = library.client.get(address)
        assert gone.status_code == 404
        assert str(library.folder) not in gone.text
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert library.client.get(address).status_code == 200


def test_a_path_that_came_with_vectors_opens_no_file(library: Shown, tmp_path: Path) -> None:
    """Who imports vectors says what paths they are of: a file that nobody here has read is not given out for that."""
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    rows = np.random.default_rng(0).normal(size=(1, library.memory.encoder.dim)).astype(np.float32)
    import pyarrow as pa
    import pyarrow.parquet

    table = pa.table({"embedding": list(rows), "uri": [str(secret)]})
    pyarrow.parquet.write_table(table, tmp_path / "vectors.parquet")
    library.memory.import_vectors(
        tmp_path / "vectors.parquet", model="seemory-mini", fingerprint=library.memory.encoder.fingerprint
    )
    item = UUID(str(library.item("secret.txt")))
    try:
        assert library.client.get(f"/page/originals/{item}").status_code == 404
    finally:
        library.memory.forget([item])


def test_a_note_is_shown_by_its_words_and_is_no_picture_without_a_vector(
    new_memory: Callable[..., Memory], photos: Path
) -> None:
    with new_memory(model="seemory-mini") as memory:
        memory.index(photos)
        memory.remember("The keys hang behind the blue door")
        with serving(memory) as address, httpx.Client(base_url=address, timeout=60) as client:
            notes = [one for one in client.get("/page/items?limit=50").json()["items"] if one["kind"] == "text"]
            assert [(one["name"], one["caption"]) for one in notes] == [("Note", "The keys hang behind the blue door")]
            first = client.post("/page/search", json={"words": "the keys", "limit": 50}).json()["hits"]
            assert "The keys hang behind the blue door" in {one["caption"] for one in first}
            status = client.get("/page/status").json()
    assert (status["items"], status["to_embed"], status["embedded"]) == (9, 8, 8)
    assert [(one["done"], one["total"]) for one in status["generations"]] == [(8, 8)]
