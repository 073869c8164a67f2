"""Groups of the same picture: exactly the same bytes, and nearly the same sight, as separate tiers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import Generation, Item


@dataclass(frozen=True, slots=True)
class NearGroup:
    """Items that look alike, and the smallest cosine that joined two of them."""

    items: tuple[Item, ...]
    cosine: float


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Both tiers; items of an exact group stand for one another in the near tier."""

    exact: tuple[tuple[Item, ...], ...]
    near: tuple[NearGroup, ...]


def find_duplicates(
    query: Query, items: Items, generation: Generation, *, threshold: float, limit: int = 100_000
) -> Duplicates:
    """Both tiers of duplicates in one generation; `threshold` is the least cosine of a near pair."""
    exact = [tuple(group) for group in query.exact_groups(generation.collection)]
    same_bytes = {item.item_id: group[0].item_id for group in exact for item in group}
    pairs = [
        (same_bytes.get(a, a), same_bytes.get(b, b), cosine)
        for a, b, cosine in query.near_pairs(generation, threshold, limit)
    ]
    near = [
        NearGroup(tuple(items.get(member) for member in members), cosine)
        for members, cosine in _connected((a, b, cosine) for a, b, cosine in pairs if a != b)
    ]
    return Duplicates(tuple(exact), tuple(sorted(near, key=lambda group: -group.cosine)))


def _connected(pairs: Iterable[tuple[UUID, UUID, float]]) -> list[tuple[list[UUID], float]]:
    """The connected components of the pairs, each with the smallest cosine among its pairs (union-find)."""
    parent: dict[UUID, UUID] = {}
    weakest: dict[UUID, float] = {}

    def root(node: UUID) -> UUID:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b, cosine in pairs:
        keep, join = root(a), root(b)
        parent[join] = keep
        weakest[keep] = min(cosine, weakest.get(keep, 1.0), weakest.get(join, 1.0))
    groups: dict[UUID, list[UUID]] = {}
    for node in parent:
        groups.setdefault(root(node), []).append(node)
    return [(sorted(members), weakest[key]) for key, members in groups.items()]
