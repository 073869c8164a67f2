"""Keys: wrong, revoked, stolen and too weak ones at every route; how often they may ask; what is kept of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import anyio
import httpx
import psycopg
import pytest

from seemory.cli import main
from seemory.errors import UsageError
from seemory.memory import Memory
from seemory.metrics import Metrics
from seemory.service.app import make_app
from seemory.service.rates import Rates
from seemory.settings import ServiceSettings
from seemory.store.keys import KEY_FORM, Keys

from .conftest import OWNED
from .test_service import routes

# How far a key must go for each route; whoever adds a route says it here.
SCOPE = {
    ("POST", "/v1/search"): "read",
    ("POST", "/v1/items"): "write",
    ("GET", "/v1/items/{item_id}"): "read",
    ("GET", "/v1/items/{item_id}/thumbnail"): "read",
    ("DELETE", "/v1/items/{item_id}"): "write",
    ("GET", "/v1/items"): "read",
    ("GET", "/v1/items/{item_id}/similar"): "read",
    ("GET", "/v1/items/{item_id}/original"): "read",
    ("GET", "/v1/duplicates"): "read",
    ("POST", "/v1/classify"): "read",
    ("POST", "/v1/embeddings"): "read",
    ("GET", "/v1/models"): "read",
    ("POST", "/v1/advise"): "read",
    ("GET", "/v1/advisors"): "read",
    ("GET", "/v1/advisors/{name}"): "read",
    ("POST", "/v1/jobs/upload"): "write",
    ("POST", "/v1/jobs/index"): "write",
    ("POST", "/v1/jobs/retry"): "write",
    ("GET", "/v1/jobs"): "read",
    ("GET", "/v1/jobs/{job_id}"): "read",
    ("GET", "/v1/jobs/{job_id}/events"): "read",
    ("DELETE", "/v1/jobs/{job_id}"): "write",
    ("GET", "/v1/reembedding"): "admin",
    ("POST", "/v1/reembedding"): "admin",
    ("POST", "/v1/reembedding/switch"): "admin",
    ("POST", "/v1/reembedding/rollback"): "admin",
    ("GET", "/metrics"): "admin",
    ("GET", "/page/items"): "read",
    ("GET", "/page/facets"): "read",
    ("GET", "/page/item"): "read",
    ("GET", "/page/originals/{item_id}"): "read",
    ("POST", "/page/search"): "read",
    ("GET", "/page/duplicates"): "read",
    ("GET", "/page/map"): "read",
    ("POST", "/page/advise"): "read",
    ("GET", "/page/reports/{name}"): "read",
    ("GET", "/page/status"): "read",
    ("POST", "/page/retry"): "write",
    ("POST", "/page/sign-in"): "read",
}
FOR_ALL = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/page/files/{made}/{name}"),
    ("POST", "/page/sign-out"),
}

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def keys(victim: Memory) -> Keys:
    return Keys(victim.database)


def asking(memory: Memory, **options: Any) -> Ask:
    """Sends requests to a service of that memory, through all of it."""
    app = make_app(memory, ServiceSettings(**options), Metrics())

    def ask(method: str, path: str, key: str | None = None, **given: Any) -> httpx.Response:
        headers = {"Content-Type": "image/png"} | ({"Authorization": f"Bearer {key}"} if key else {})

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                return await client.request(method, path, headers=headers | given.pop("headers", {}), **given)

        return anyio.run(send)

    return ask


@pytest.fixture(scope="module")
def ask(victim: Memory) -> Iterator[Ask]:
    return asking(victim, keys="required")


def addresses(victim: Memory) -> Iterator[tuple[tuple[str, str], str]]:
    item = next(iter(victim.items())).item_id
    for method, path in {**SCOPE, **dict.fromkeys(FOR_ALL)}:
        address = path.format(item_id=item, job_id=item, name="private-master", made="0")
        yield (method, path), f"{address}?id={item}" if path == "/page/item" else address


def test_every_route_says_how_far_a_key_must_go(victim: Memory) -> None:
    assert routes(make_app(victim, ServiceSettings(), Metrics())) == {*SCOPE, *FOR_ALL}


def test_no_route_answers_without_a_key_that_is_one(ask: Ask, keys: Keys, victim: Memory) -> None:
    secret, key = keys.create(victim.owner, "admin")
    revoked, old = keys.create(victim.owner, "admin")
    keys.revoke(str(old.id)[:13])
    wrong = [
        {},
        *({"Authorization": value} for value in (
            "", "Bearer", "Bearer ", f"Basic {secret}", f"Bearer {secret}x", f"Bearer {secret[:-1]}", f"Token {secret}",
            f"Bearer {revoked}", f"Bearer {key.id}", f"Bearer smy_{'A' * 43}", f"Bearer {secret.upper()}",
            "Bearer smy_' OR 1=1 --", f"Bearer {'x' * 5000}", "Bearer \x7f", f"Bearer {secret}, Bearer {secret}",
        )),
        {"X-Api-Key": secret},
        {"Cookie": f"key={secret}"},
        {"Cookie": f"seemory_key={revoked}"},
        {"Cookie": "seemory_key="},
    ]  # fmt: skip
    for route, address in addresses(victim):
        for headers in wrong if route not in FOR_ALL else ():
            elsewhere = f"{'&' if '?' in address else '?'}key={secret}"
            answer = ask(route[0], address + elsewhere, headers=headers)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "NoKey"), (route, headers)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert victim.owner not in answer.text
    twice = [("Authorization", f"Bearer {secret}")] * 2
    app = make_app(victim, ServiceSettings(keys="required"), Metrics())

    async def doubled() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return (await client.get("/v1/advisors", headers=twice)).status_code

    assert anyio.run(doubled) == 401
    assert ask("GET", "/v1/advisors", secret).status_code == 200


def test_a_key_goes_as_far_as_its_scope(ask: Ask, keys: Keys, victim: Memory, eye: psycopg.Connection) -> None:
    made = {scope: keys.create(f"scoped-{uuid4()}", scope)[0] for scope in ("read", "write", "admin")}
    order = list(made)
    for route, address in addresses(victim):
        for scope, secret in made.items():
            answer = ask(route[0], address, secret)
            enough = route in FOR_ALL or order.index(scope) >= order.index(SCOPE[route])
            refused = answer.status_code == 403 and answer.json()["error"]["type"] == "Scope"
            assert refused != enough, (route, scope, answer.text)
    assert victim.get(next(iter(victim.items())).item_id)


def test_a_stolen_key_opens_nothing_from_the_moment_it_is_revoked(ask: Ask, keys: Keys, victim: Memory) -> None:
    secret, key = keys.create(victim.owner, "read")
    item = next(iter(victim.items())).item_id
    assert ask("GET", f"/v1/items/{item}", secret).json()["item_id"] == str(item)
    assert keys.revoke(str(key.id)).revoked_at
    assert ask("GET", f"/v1/items/{item}", secret).status_code == 401
    other, _ = keys.create(victim.owner, "read")
    assert ask("GET", f"/v1/items/{item}", other).status_code == 200


def test_a_key_sees_its_owners_items_alone(
    ask: Ask, keys: Keys, victim: Memory, package_photographs: dict[str, Any]
) -> None:
    owners = [f"anna-{uuid4()}", f"bert-{uuid4()}"]
    secrets = [keys.create(owner, "write")[0] for owner in owners]
    content = package_photographs["flower"].read_bytes()
    items = [ask("POST", "/v1/items", secret, content=content).json() for secret in secrets]
    assert [item["new"] for item in items] == [True, True]
    theirs = next(iter(victim.items())).item_id
    for n, secret in enumerate(secrets):
        found = ask("POST", "/v1/search", secret, json={"words": "a cat"}, headers={"Content-Type": "application/json"})
        assert [hit["item_id"] for hit in found.json()["hits"]] == [items[n]["item_id"]]
        for foreign in (items[1 - n]["item_id"], theirs):
            for method in ("GET", "DELETE"):
                assert ask(method, f"/v1/items/{foreign}", secret).status_code == 404
            assert ask("GET", f"/v1/items/{foreign}/thumbnail", secret).status_code == 404
    for n, secret in enumerate(secrets):
        assert ask("DELETE", f"/v1/items/{items[n]['item_id']}", secret).status_code == 204


def test_a_key_asks_so_often_and_no_more(victim: Memory, keys: Keys) -> None:
    ask = asking(victim, keys="required", rate=3)
    one, other = (keys.create(f"often-{uuid4()}", "read")[0] for _ in range(2))
    assert [ask("GET", "/v1/advisors", one).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = ask("GET", "/v1/advisors", one)
    assert refused.json()["error"]["type"] == "TooOften"
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert ask("GET", "/v1/advisors", other).status_code == 200


def test_a_bucket_fills_evenly() -> None:
    now = [0.0]
    rates = Rates(60, clock=lambda: now[0])
    assert not any(rates.wait_s("a") for _ in range(60))
    assert rates.wait_s("a") == pytest.approx(1.0)
    now[0] = 0.5
    assert rates.wait_s("a") == pytest.approx(0.5)
    now[0] = 2.0
    assert [bool(rates.wait_s("a")) for _ in range(3)] == [False, False, True]
    now[0] = 1e6
    assert sum(not rates.wait_s("a") for _ in range(100)) == 60
    assert not any(Rates(0).wait_s("a") for _ in range(1000))


def test_a_proxy_on_this_machine_lets_nobody_in_without_a_key(victim: Memory, keys: Keys) -> None:
    ask = asking(victim)
    assert ask("GET", "/v1/advisors").status_code == 200
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert ask("GET", "/v1/advisors", headers={name: "10.0.0.1"}).status_code == 401
    secret, _ = keys.create(victim.owner, "read")
    assert ask("GET", "/v1/advisors", secret, headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 200
    assert ask("GET", "/v1/advisors", "smy_wrong").status_code == 401, "a wrong key is no less than none"


def test_pages_of_other_origins_ask_only_where_they_may_and_with_a_key(victim: Memory, keys: Keys) -> None:
    secret, _ = keys.create(victim.owner, "read")
    search = {"json": {"words": "a cat"}}
    kind = {"Content-Type": "application/json"}
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    closed, opened = asking(victim), asking(victim, origins=("https://app.example",))
    for ask, origin, may in (
        (closed, "https://app.example", False),
        (opened, "https://app.example", True),
        (opened, "https://app.example.attacker.example", False),
        (opened, "null", False),
    ):
        before = ask("OPTIONS", "/v1/search", headers=wanted | {"Origin": origin})
        assert (before.headers.get("access-control-allow-origin") == origin) == may
        assert before.headers.get("access-control-allow-credentials") is None
        asked = ask("POST", "/v1/search", secret, headers=kind | {"Origin": origin}, **search)
        assert asked.status_code == (200 if may else 403)
        assert (asked.headers.get("access-control-allow-origin") == origin) == may
        without = ask("POST", "/v1/search", headers=kind | {"Origin": origin}, **search)
        assert without.status_code == (401 if may else 403)


def test_who_signs_in_on_the_page_is_known_by_a_cookie_of_this_origin(victim: Memory, keys: Keys) -> None:
    secret, key = keys.create(victim.owner, "write")
    ask = asking(victim, keys="required", origins=("https://app.example",))
    signed = ask("POST", "/page/sign-in", secret)
    assert signed.json() == {"owner": victim.owner, "scope": "write"}
    (cookie,) = signed.headers.get_list("set-cookie")
    parts = {part.strip().partition("=")[0].lower() for part in cookie.split(";")}
    assert {"httponly", "samesite", "path", "max-age"} <= parts
    assert "secure" not in parts, "the way here is not encrypted"
    assert "SameSite=strict" in cookie
    behind = ask("POST", "/page/sign-in", secret, headers={"X-Forwarded-Proto": "https"})
    assert "; secure" in behind.headers["set-cookie"].lower()
    mine = {"Cookie": f"seemory_key={secret}"}
    assert ask("GET", "/page/status", headers=mine).json()["who"] == victim.owner
    forged = {"Origin": "https://attacker.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}
    for headers in forged:
        for path in ("/page/retry", "/v1/jobs/retry", "/page/sign-in", "/page/sign-out"):
            assert ask("POST", path, headers=mine | headers).status_code == 403
    allowed = mine | {"Origin": "https://app.example"}
    assert ask("POST", "/v1/jobs/retry", headers=allowed).status_code == 401, "it asks with a key of its own"
    assert "Max-Age=0" in ask("POST", "/page/sign-out", headers=mine).headers["set-cookie"]
    keys.revoke(str(key.id))
    assert ask("GET", "/page/status", headers=mine).status_code == 401
    assert ask("POST", "/page/sign-in", secret).status_code == 401


def test_only_a_hash_is_kept(keys: Keys, eye: psycopg.Connection) -> None:
    secret, key = keys.create(f"hashed-{uuid4()}", "read")
    assert KEY_FORM.fullmatch(secret)
    for (table,) in eye.execute(OWNED).fetchall():
        rows = eye.execute(f"SELECT count(*) FROM seemory.{table} t WHERE t::text LIKE %s", [f"%{secret[4:]}%"])
        assert rows.fetchone() == (0,), table
    assert secret not in repr(keys.all()) + repr(keys.find(secret))
    assert keys.find(secret) == key
    for owner in ("", "x" * 201, "a\x00b", "\ud800"):
        with pytest.raises(UsageError, match="owner"):
            keys.create(owner, "read")


def test_the_commands_make_list_and_revoke(home: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["keys", *arguments, "--home", str(home)])
        return int(left.value.code or 0), capfd.readouterr().out

    owner = f"cli-{uuid4()}"
    code, printed = run("create", "--owner", owner, "--scope", "write")
    assert code == 0
    assert KEY_FORM.fullmatch(printed.strip())
    made = json.loads(run("create", "--owner", owner, "--scope", "read", "--json")[1])
    assert made.keys() == {"key", "owner", "id", "scope", "created_at", "revoked_at"}
    listed = run("list")[1]
    assert listed.count(owner) == 2
    assert made["key"] not in listed
    assert run("revoke", made["id"][:8])[0] == 0
    assert "revoked" in next(line for line in run("list")[1].splitlines() if line.startswith(made["id"][:8]))
    for nobody in ("", "zzzz", str(uuid4())):
        assert run("revoke", nobody)[0] == 2
