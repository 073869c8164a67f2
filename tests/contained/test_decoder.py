"""The decoding processes: the same pictures as here, and what a hostile one costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from made_pictures import WRITABLE, black_png, dng, encoded, photograph
from PIL import Image

from seemory.batching import Ticket, waiting_with
from seemory.contained.decoder import ContainedDecoder
from seemory.errors import MediaError, MediaTooLarge, TookTooLong, UnreadableMedia, UnsupportedMedia
from seemory.media.image import read_here


@pytest.fixture(scope="module")
def decoder() -> Iterator[ContainedDecoder]:
    made = ContainedDecoder(processes=1, megabytes=1000, seconds=30)
    yield made
    made.close()


def processes_of(decoder: ContainedDecoder) -> set[int]:
    return {child.pid for child in decoder._all if child.alive}


def test_every_format_comes_out_as_it_does_here(decoder: ContainedDecoder) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "Seemory Camera"
    exif.get_ifd(0x8769)[0x9003] = "2021:05:04 03:02:01"
    contents = [encoded(photograph(), kind) for kind in WRITABLE]
    contents += [encoded(photograph(3000, 1500), "JPEG", exif=exif), encoded(photograph(), "PNG", exif=exif)]
    for content, suffix in [*((one, "") for one in contents), (dng(), ".dng")]:
        for target in (32, 224):
            here = read_here(content, suffix=suffix, target=target, max_pixels=10_000_000)
            there = decoder(content, suffix=suffix, target=target, max_pixels=10_000_000)
            assert (there.image.size, there.image.tobytes()) == (here.image.size, here.image.tobytes())
            assert (there.facts, there.thumbnail) == (here.facts, here.thumbnail)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", UnreadableMedia),
        (b"words", UnsupportedMedia),
        (b"\xff\xd8\xff\xe0 damaged", UnreadableMedia),
        (encoded(photograph(4000, 3000), "JPEG"), MediaTooLarge),
        (encoded(photograph(), "JPEG")[:2000], UnreadableMedia),
    ],
)
def test_what_is_refused_here_is_refused_there(
    decoder: ContainedDecoder, content: bytes, kind: type[MediaError]
) -> None:
    said = []
    for reader in (read_here, decoder):
        with pytest.raises(kind) as refused:
            reader(content, target=64, max_pixels=1_000_000)
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_a_bomb_meets_the_bound_on_memory_and_the_next_picture_is_read() -> None:
    small = ContainedDecoder(processes=1, megabytes=400, seconds=30)
    try:
        with pytest.raises(UnreadableMedia, match="memory"):
            small(black_png(14_000, 14_000), target=224, max_pixels=200_000_000)
        assert small(encoded(photograph(), "PNG"), target=64, max_pixels=1_000_000).image.size == (160, 120)
    finally:
        small.close()


def test_what_takes_too_long_is_ended_and_another_process_takes_its_place() -> None:
    hasty = ContainedDecoder(processes=1, megabytes=2000, seconds=0.4)
    try:
        assert hasty(encoded(photograph(), "PNG"), target=64, max_pixels=1_000_000).image.size == (160, 120)
        (first,) = processes_of(hasty)
        start = time.monotonic()
        with pytest.raises(UnreadableMedia, match=r"took more than 0\.4 s"):
            hasty(black_png(14_000, 14_000), target=224, max_pixels=200_000_000)
        assert time.monotonic() - start < 5
        assert first not in processes_of(hasty)
        assert hasty(encoded(photograph(), "PNG"), target=64, max_pixels=1_000_000).image.size == (160, 120)
    finally:
        hasty.close()


def test_a_decoder_that_dies_costs_its_picture_alone(decoder: ContainedDecoder) -> None:
    content = encoded(photograph(), "PNG")
    decoder(content, target=64, max_pixels=1_000_000)
    (pid,) = processes_of(decoder)
    process = psutil.Process(pid)
    with ThreadPoolExecutor(1) as pool:
        process.suspend()
        waiting = pool.submit(decoder, content, target=64, max_pixels=1_000_000)
        time.sleep(0.1)
        process.kill()
        with pytest.raises(UnreadableMedia, match="ended the decoder"):
            waiting.result(10)
    assert decoder(content, target=64, max_pixels=1_000_000).image.size == (160, 120)


def test_who_finds_all_decoders_busy_waits_no_longer_than_the_request(decoder: ContainedDecoder) -> None:
    content = encoded(photograph(), "PNG")
    decoder(content, target=64, max_pixels=1_000_000)
    (pid,) = processes_of(decoder)
    with ThreadPoolExecutor(1) as pool:
        psutil.Process(pid).suspend()
        slow = pool.submit(decoder, content, target=64, max_pixels=1_000_000)
        time.sleep(0.1)
        with pytest.raises(TookTooLong), waiting_with(Ticket(0.1)):
            decoder(content, target=64, max_pixels=1_000_000)
        psutil.Process(pid).resume()
        assert slow.result(30).image.size == (160, 120)


def test_it_can_open_nothing_and_knows_no_secret(monkeypatch: pytest.MonkeyPatch, decoder: ContainedDecoder) -> None:
    monkeypatch.setenv("SEEMORY_DATABASE_URL", "postgresql://anna:secret@db/pictures")
    fresh = ContainedDecoder(processes=1, megabytes=1000, seconds=30)
    try:
        fresh(encoded(photograph(), "PNG"), target=64, max_pixels=1_000_000)
        (pid,) = processes_of(fresh)
        process = psutil.Process(pid)
        assert not [name for name in process.environ() if name.startswith("SEEMORY_")]
        if hasattr(process, "rlimit"):
            assert process.rlimit(psutil.RLIMIT_NOFILE)[1] == 0
            assert process.rlimit(psutil.RLIMIT_AS)[1] == 1_000_000_000
    finally:
        fresh.close()


def test_a_strip_is_not_handed_on(decoder: ContainedDecoder) -> None:
    with pytest.raises(MediaTooLarge, match="strip"):
        decoder(black_png(20_000, 3000), target=1600, max_pixels=200_000_000)
