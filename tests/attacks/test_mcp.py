"""Every tool and resource of the MCP server, used by a thief with another owner's ids and paths."""

from __future__ import annotations

from typing import Any

import anyio
import psycopg
import pytest

from seemory.memory import Memory

from .conftest import SAID, Loot, World, assert_no_secret, guesses, rows_of

pytest.importorskip("mcp")

TOOLS: dict[str, list[dict[str, Any]]] = {
    "remember": [],  # Memory.remember, attacked in test_methods.py; it would add to the thief's own
    "recall": [{"words": "{guess}"}, {"words": SAID, "where": ["path~{guess}"]}, {"words": "private", "kind": "text"}],
    "forget": [{"items": ["{guess}"]}],
    "find_pictures": [{"words": "{guess}", "limit": 20}, {"words": "a cat", "where": ["path~{guess}"]}],
    "similar": [{"item": "{guess}"}],
    "describe_item": [{"item": "{guess}"}, {"item": "{guess}", "caption": "mine"}],
}
RESOURCES = ["seemory://items/{guess}", "seemory://items/{guess}/picture"]


def filled(value: Any, guess: str) -> Any:
    if isinstance(value, str):
        return value.replace("{guess}", guess)
    if isinstance(value, list):
        return [filled(one, guess) for one in value]
    return {name: filled(one, guess) for name, one in value.items()} if isinstance(value, dict) else value


def test_a_guess_finds_nothing_by_any_tool(
    worlds: tuple[World, World], loot: Loot, victim: Memory, eye: psycopg.Connection
) -> None:
    from mcp import Client, MCPError

    from seemory.mcp import make_server

    before = rows_of(eye, victim.owner)

    async def attack(world: World) -> list[str]:
        seen = []
        async with Client(make_server(world.thief)) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == set(TOOLS), "attack every tool"
            templates = (await client.list_resource_templates()).resource_templates
            assert len(templates) == len(RESOURCES), "attack every resource"
            for guess in map(str, guesses(loot)):
                for name, attempts in TOOLS.items():
                    for given in attempts:
                        answer = await client.call_tool(name, filled(given, guess))
                        text = world.told(str([getattr(part, "text", type(part)) for part in answer.content]))
                        assert_no_secret(text, loot, guess)
                        seen.append(text)
                for uri in RESOURCES:
                    if "/" in guess:
                        continue
                    try:
                        await client.read_resource(uri.format(guess=guess))
                        seen.append(f"read {uri}")
                    except MCPError as error:
                        seen.append(world.told(str(error)))
        return seen

    beside, alone = (anyio.run(attack, world) for world in worlds)
    assert beside == alone
    assert rows_of(eye, victim.owner) == before
