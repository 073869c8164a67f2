"""Every route of the service, asked by a thief who has a key of its own, with another owner's ids and paths.

The service is the victim's own, which lets the thief in by its key. As with the methods and commands: beside a victim
and without one the answers are the same, and the victim's rows and files are untouched. A route that is new has no
attack yet, and fails here until it has one. The requests go through the whole application, guard included, by an ASGI
transport.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import httpx
import psycopg
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from seemory.memory import Memory
from seemory.metrics import Metrics
from seemory.service.app import make_app
from seemory.settings import ServiceSettings
from seemory.store.keys import Keys

from .conftest import Guess, Loot, World, assert_no_secret, guesses, rows_of

PNG = {"Content-Type": "image/png"}

Send = Callable[..., httpx.Response]

ROUTES: dict[tuple[str, str], Callable[[Send, str, bytes], list[httpx.Response]]] = {
    ("POST", "/v1/search"): lambda ask, guess, picture: [
        ask("POST", "/v1/search", json={"like": guess, "limit": 1000}),
        ask("POST", "/v1/search", json={"words": guess, "limit": 1000, "min_score": 0.0}),
        ask("POST", "/v1/search", json={"words": "a cat", "where": [f"path~{guess}"], "kind": "image"}),
        ask("POST", "/v1/search", json={"words": f'"private" {guess}', "weights": {"visual": 0}, "language": "simple"}),
        ask("POST", "/v1/search", json={"words": "a cat", "owner": guess}),
        ask("POST", "/v1/search", json={"words": "a cat", "film": guess}),
        ask("POST", "/v1/search", json={"words": f"who says private {guess}", "route": "rerank", "group": True}),
        ask("POST", "/v1/search?limit=1000", content=picture, headers={"Content-Type": "image/png"}),
        ask("POST", f"/v1/search?words={guess}", content=picture, headers={"Content-Type": "image/png"}),
    ],
    ("POST", "/v1/items"): lambda ask, guess, picture: [
        ask("POST", "/v1/items", content=guess.encode(), headers={"Content-Type": "image/png"}),
        ask("POST", f"/v1/items?owner={guess}", content=picture, headers={"Content-Type": "image/png"}),
    ],
    ("GET", "/v1/items/{item_id}"): lambda ask, guess, picture: [ask("GET", f"/v1/items/{guess}")],
    ("GET", "/v1/items/{item_id}/thumbnail"): lambda ask, guess, picture: [ask("GET", f"/v1/items/{guess}/thumbnail")],
    ("GET", "/page/originals/{item_id}"): lambda ask, guess, picture: [ask("GET", f"/page/originals/{guess}")],
    ("DELETE", "/v1/items/{item_id}"): lambda ask, guess, picture: [ask("DELETE", f"/v1/items/{guess}")],
    ("POST", "/v1/advise"): lambda ask, guess, picture: [
        ask("POST", f"/v1/advise?advisor={guess}&mode={mode}", content=picture, headers={"Content-Type": "image/png"})
        for mode in ("similar", "dimensions", "critic", "combined", "similar&format=html")
    ],
    ("GET", "/v1/items"): lambda ask, guess, picture: [
        ask("GET", "/v1/items", params={"where": [f"path~{guess}"], "limit": 1000}),
        ask("GET", "/v1/items", params={"owner": guess, "where": ["format=PNG", "name~private"]}),
    ],
    ("GET", "/v1/items/{item_id}/similar"): lambda ask, guess, picture: [ask("GET", f"/v1/items/{guess}/similar")],
    ("GET", "/v1/items/{item_id}/original"): lambda ask, guess, picture: [ask("GET", f"/v1/items/{guess}/original")],
    ("GET", "/v1/duplicates"): lambda ask, guess, picture: [
        ask("GET", "/v1/duplicates", params={"threshold": 0.01, "owner": guess})
    ],
    ("POST", "/v1/classify"): lambda ask, guess, picture: [
        ask("POST", "/v1/classify", params={"label": ["cat", guess]}, content=picture, headers=PNG)
    ],
    ("POST", "/v1/embeddings"): lambda ask, guess, picture: [
        ask("POST", "/v1/embeddings", json={"model": "seemory-mini", "input": ["a cat", guess]}),
        ask("POST", "/v1/embeddings", json={"model": guess, "input": "a cat"}),
    ],
    ("GET", "/v1/models"): lambda ask, guess, picture: [ask("GET", f"/v1/models?owner={guess}")],
    ("GET", "/v1/advisors"): lambda ask, guess, picture: [ask("GET", f"/v1/advisors?owner={guess}")],
    ("GET", "/v1/advisors/{name}"): lambda ask, guess, picture: [ask("GET", f"/v1/advisors/{guess}")],
    ("GET", "/page/items"): lambda ask, guess, picture: [
        ask("GET", f"/page/items?limit=500&where=path~{guess}"),
        ask("GET", f"/page/items?after=1970-01-01T00:00:00%2B00:00_{guess}"),
    ],
    ("GET", "/page/facets"): lambda ask, guess, picture: [ask("GET", f"/page/facets?where=path~{guess}")],
    ("GET", "/page/item"): lambda ask, guess, picture: [ask("GET", f"/page/item?id={guess}")],
    ("POST", "/page/search"): lambda ask, guess, picture: [
        ask("POST", "/page/search", json={"like": guess, "limit": 1000}),
        ask("POST", f"/page/search?words={guess}", content=picture, headers={"Content-Type": "image/png"}),
    ],
    ("GET", "/page/duplicates"): lambda ask, guess, picture: [
        ask("GET", "/page/duplicates?threshold=0.01"),
    ],
    ("GET", "/page/map"): lambda ask, guess, picture: [ask("GET", f"/page/map?owner={guess}")],
    ("POST", "/page/advise"): lambda ask, guess, picture: [
        ask("POST", f"/page/advise?advisor={guess}", content=picture, headers={"Content-Type": "image/png"})
    ],
    ("GET", "/page/reports/{name}"): lambda ask, guess, picture: [ask("GET", f"/page/reports/{guess}")],
    ("GET", "/page/status"): lambda ask, guess, picture: [ask("GET", f"/page/status?owner={guess}")],
    ("POST", "/page/retry"): lambda ask, guess, picture: [ask("POST", f"/page/retry?owner={guess}")],
    ("POST", "/v1/jobs/upload"): lambda ask, guess, picture: [
        ended(ask, ask("POST", f"/v1/jobs/upload?owner={guess}", files={"pictures": (guess[-50:], picture)}))
    ],
    ("POST", "/v1/jobs/index"): lambda ask, guess, picture: [
        ask("POST", "/v1/jobs/index", json={"paths": [path]}) for path in (guess, f"/{guess}", "/")
    ],
    ("POST", "/v1/jobs/retry"): lambda ask, guess, picture: [ended(ask, ask("POST", f"/v1/jobs/retry?owner={guess}"))],
    ("GET", "/v1/jobs"): lambda ask, guess, picture: [ask("GET", f"/v1/jobs?owner={guess}")],
    ("GET", "/v1/jobs/{job_id}"): lambda ask, guess, picture: [ask("GET", f"/v1/jobs/{guess}")],
    ("GET", "/v1/jobs/{job_id}/events"): lambda ask, guess, picture: [ask("GET", f"/v1/jobs/{guess}/events")],
    ("DELETE", "/v1/jobs/{job_id}"): lambda ask, guess, picture: [ask("DELETE", f"/v1/jobs/{guess}")],
    ("POST", "/v1/reembedding"): lambda ask, guess, picture: [ask("POST", "/v1/reembedding", json={"to": guess})],
    ("POST", "/v1/reembedding/switch"): lambda ask, guess, picture: [
        ask("POST", "/v1/reembedding/switch", json={"owners": [guess], "force": True})
    ],
    ("POST", "/v1/reembedding/rollback"): lambda ask, guess, picture: [
        ask("POST", "/v1/reembedding/rollback", json={"owners": [guess], "force": True})
    ],
    ("POST", "/page/sign-in"): lambda ask, guess, picture: [
        ask("POST", "/page/sign-in", headers={"Cookie": f"seemory_key={guess}"}),
        ask("POST", "/page/sign-in", headers={"Authorization": f"Bearer {guess}"}),
    ],
    ("POST", "/page/sign-out"): lambda ask, guess, picture: [ask("POST", f"/page/sign-out?owner={guess}")],
    ("GET", "/readyz"): lambda ask, guess, picture: [ask("GET", f"/readyz?collection={guess}")],
}
WRITERS = {
    ("POST", "/v1/items"),
    ("DELETE", "/v1/items/{item_id}"),
    ("POST", "/page/retry"),
    ("POST", "/v1/jobs/upload"),
    ("POST", "/v1/jobs/retry"),
}
"""Those that may change what the thief has: they are tried in worlds of their own."""
NO_ROWS = {
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/page/files/{made}/{name}"),
    ("GET", "/v1/reembedding"),  # an operator's: it counts over all owners
}


def ended(ask: Send, begun: httpx.Response) -> httpx.Response:
    """What became of a job, without what no two have in common."""
    assert begun.status_code == 202, begun.text
    said = ask("GET", begun.headers["Location"] + "/events").text.rpartition("data: ")[2]
    kept = {name: value for name, value in json.loads(said).items() if name in ("state", "report", "problem", "done")}
    return httpx.Response(202, json=kept)


def routes(app: Any) -> set[tuple[str, str]]:
    described = anyio.run(_get, app, "/v1/openapi.json").json()["paths"]
    found = {(method.upper(), path) for path, methods in described.items() for method in methods}
    while not isinstance(app, FastAPI):  # through what stands around it
        app = next(inner for name, inner in vars(app).items() if name in ("_app", "app"))
    page = [route for route in app.routes if isinstance(route, APIRoute) and route.path.startswith("/page/")]
    return found | {(method, route.path) for route in page for method in route.methods}  # which nothing describes


async def _get(app: Any, path: str, method: str = "GET", **given: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.request(method, path, **given)


def app_of(memory: Memory) -> Any:
    return make_app(memory, ServiceSettings(keys="required", timeout_s=600), Metrics())


def test_every_route_is_attacked(victim: Memory) -> None:
    assert routes(app_of(victim)) == {*ROUTES, *NO_ROWS} - {("GET", "/v1/openapi.json")}


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_guess_finds_nothing_by_any_route(
    route: tuple[str, str],
    worlds: tuple[World, World],
    new_worlds: Callable[[], tuple[World, World]],
    loot: Loot,
    victim: Memory,
    eye: psycopg.Connection,
    package_photographs: dict[str, Path],
) -> None:
    before = rows_of(eye, victim.owner)
    files = {path: path.read_bytes() for path in loot.folder.iterdir()}
    if route in WRITERS:
        worlds = new_worlds()
    apps = [app_of(victim), app_of(worlds[1].thief)]
    keys = [Keys(victim.database).create(world.thief.owner, "admin")[0] for world in worlds]
    for guess in guesses(loot):
        outcomes = []
        for world, app, key in zip(worlds, apps, keys, strict=True):

            def ask(method: str, path: str, app: Any = app, key: str = key, **given: Any) -> httpx.Response:
                headers = {"Authorization": f"Bearer {key}"} | given.pop("headers", {})
                return anyio.run(lambda: _get(app, path, method, headers=headers, **given))

            coffee = package_photographs["coffee"].read_bytes()  # the victim has it, the thief had not
            answers = ROUTES[route](ask, str(guess), coffee)
            outcomes.append([(answer.status_code, steady(world, answer)) for answer in answers])
            assert_no_secret(str(outcomes[-1]), loot, f"{guess} {as_id(guess)}")
        assert outcomes[0] == outcomes[1], f"{route} with {guess!r} shows that there is somebody else"
    assert rows_of(eye, victim.owner) == before
    assert {path: path.read_bytes() for path in loot.folder.iterdir()} == files


def as_id(guess: Guess) -> str:
    """An id as it is usually written, which is how answers repeat it."""
    try:
        return str(UUID(str(guess)))
    except ValueError:
        return ""


def steady(world: World, answer: httpx.Response) -> str:
    """What was answered, without what differs from one to the next: how long it took, and the order of equal hits."""
    if answer.headers.get("content-type") != "application/json":
        return repr(answer.content)
    document = answer.json()
    document.pop("milliseconds", None)
    for group in (
        document,
        *document.get("near", ()),
    ):  # of equal ones the ids decide
        if isinstance(group.get("items"), list):
            group["items"].sort(key=lambda item: item.get("uri") or item["name"])
    text = world.told(json.dumps(document, sort_keys=True))
    # The owner's folder of kept files is called by a hash of the owner's name.
    return re.sub(re.escape(str(world.thief.home / "pictures")) + r"/[0-9a-f]{32}", "<kept>", text)


@pytest.mark.usefixtures("victim")
def test_the_same_bytes_of_two_owners_are_two_files(
    new_worlds: Callable[[], tuple[World, World]], package_photographs: dict[str, Path]
) -> None:
    content = package_photographs["motorcycle"].read_bytes()
    one, other = (world.thief for world in new_worlds())
    items = [memory.add(content) for memory in (one, other)]
    assert [item.new for item in items] == [True, True]
    places = [Path(memory.get(item.item_id).uri) for memory, item in zip((one, other), items, strict=True)]
    assert places[0] != places[1]
    assert other.forget([items[0].item_id]) == 0
    assert one.forget([items[0].item_id]) == 1
    assert [place.exists() for place in places] == [False, True]
