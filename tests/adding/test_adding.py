"""Pictures handed over as bytes: kept, found, recognised, and gone with their last item."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from made_encoders import turned

from seemory.adding.folder import KeptFiles
from seemory.embedding.sharing import SharedPasses
from seemory.errors import ItemNotFound, MediaTooLarge, StoreError, UnreadableMedia, UnsupportedMedia
from seemory.memory import Memory
from seemory.settings import read_settings


def kept(memory: Memory) -> list[Path]:
    """All files of this owner that are kept."""
    top = KeptFiles(memory.home, memory.owner).place(b"", "JPEG").parent
    return sorted(path for path in top.rglob("*") if path.is_file())


def test_an_added_picture_is_found_and_its_bytes_are_kept(memory: Memory, package_photographs: dict[str, Path]) -> None:
    content = package_photographs["cat"].read_bytes()
    added = memory.add(content)
    assert added.new
    assert memory.search("a cat")[0].item_id == added.item_id
    item = memory.get(added.item_id)
    assert (item.bytes, item.width, item.format) == (len(content), 451, "PNG")
    assert Path(item.uri).read_bytes() == content
    assert memory.thumbnail(added.item_id)
    assert memory.search(image=content)[0].cosine == pytest.approx(1.0, abs=2e-3)
    if os.name != "nt":
        assert Path(item.uri).stat().st_mode & 0o077 == 0


def test_the_same_bytes_are_the_same_item(memory: Memory, package_photographs: dict[str, Path], photos: Path) -> None:
    cat = package_photographs["cat"].read_bytes()
    first = memory.add(cat)
    assert memory.add(cat) == type(first)(first.item_id, new=False)
    assert len(kept(memory)) == 1
    memory.index(photos)  # it is in there too, under a name of its own
    assert memory.add((photos / "flower.jpg").read_bytes()).new is False, "known by path"
    assert len(kept(memory)) == 1


def test_an_added_picture_gives_the_vector_that_indexing_gives(
    new_memory: Callable[..., Memory], photos: Path, package_photographs: dict[str, Path]
) -> None:
    indexed, added = new_memory(), new_memory(collection="by hand")
    indexed.index(photos)
    for path in package_photographs.values():
        added.add(path.read_bytes())
    for words in ("a cat", "a rocket", "a flower"):
        cosines = [sorted(round(hit.cosine or 0, 3) for hit in memory.search(words)) for memory in (indexed, added)]
        assert cosines[0] == pytest.approx(cosines[1], abs=2e-3)


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", UnreadableMedia), (b"no picture", UnsupportedMedia), (b"\xff\xd8\xff\xe0 damaged", UnreadableMedia)],
)
def test_what_is_no_picture_leaves_nothing(memory: Memory, content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        memory.add(content)
    assert kept(memory) == []
    assert memory.errors() == []


def test_a_bomb_is_refused_by_its_header(
    new_memory: Callable[..., Memory], package_photographs: dict[str, Path]
) -> None:
    memory = new_memory(media={"max_pixels": 10_000})
    with pytest.raises(MediaTooLarge):
        memory.add(package_photographs["cat"].read_bytes())
    with pytest.raises(MediaTooLarge):
        memory.search(image=package_photographs["cat"].read_bytes())
    assert kept(memory) == []


def test_the_file_goes_with_its_last_item_and_no_other_file_does(
    new_memory: Callable[..., Memory], package_photographs: dict[str, Path], photos: Path
) -> None:
    content = package_photographs["cat"].read_bytes()
    one = new_memory()
    other = new_memory(owner=one.owner, collection=f"{one.collection} too")
    stranger = new_memory(owner=f"{one.owner}'s neighbour")
    items = [memory.add(content).item_id for memory in (one, other, stranger)]
    assert one.get(items[0]).uri == one.get(items[1]).uri, "one file for two collections of an owner"
    assert stranger.forget([items[0]]) == 0
    assert one.forget([items[0]]) == 1
    assert len(kept(one)) == 1, "the other collection has it still"
    assert other.forget([items[1]]) == 1
    assert kept(one) == []
    assert len(kept(stranger)) == 1
    with pytest.raises(ItemNotFound):
        one.get(items[0])
    one.index(photos)
    one.forget([item.item_id for item in one.items()])
    assert len(list(photos.iterdir())) == 8


def test_many_at_once_with_shared_passes_and_the_same_bytes_among_them(
    home: Path, package_photographs: dict[str, Path]
) -> None:
    settings = read_settings(home=home, owner="many-adders", collection="many-adders")
    pictures = [path.read_bytes() + bytes([n]) for n in range(4) for path in package_photographs.values()]
    with (
        Memory(settings, model="seemory-mini", share=SharedPasses(most=8, queue=64)) as memory,
        ThreadPoolExecutor(16) as pool,
    ):
        added = list(pool.map(memory.add, pictures + pictures[:8]))
        assert len({one.item_id for one in added}) == len(pictures)
        assert [one.item_id for one in added[-8:]] == [one.item_id for one in added[:8]]
        assert len(kept(memory)) == len(pictures)
        assert memory.stats()["embedded"] == len(pictures)
        assert sum(pool.map(lambda item: memory.forget([item]), {one.item_id for one in added})) == len(pictures)
        assert kept(memory) == []


def test_adding_and_forgetting_the_same_bytes_at_once_never_loses_an_items_file(
    memory: Memory, package_photographs: dict[str, Path]
) -> None:
    content = package_photographs["coffee"].read_bytes()
    memory.add(content)

    def turn(n: int) -> None:
        if n % 2:
            memory.forget([found.item_id for found in memory.items()])
        else:
            with suppress(StoreError):  # forgotten in the moment in which it was added
                memory.add(content)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(turn, range(60)))
    memory.add(content)
    assert [Path(found.uri).is_file() for found in memory.items()] == [True]
    assert len(kept(memory)) == 1


def test_a_generation_that_is_built_beside_gets_added_pictures_too(
    new_memory: Callable[..., Memory], package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    memory = new_memory()
    memory.add(package_photographs["cat"].read_bytes())
    other = turned(tmp_path / "turned")
    moving = memory.reembedding()
    moving.start(str(other))
    added = memory.add(package_photographs["rocket"].read_bytes())
    moving.switch(force=True)
    assert memory.search("a rocket")[0].item_id == added.item_id
