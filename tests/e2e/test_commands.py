"""The command line as a person uses it: real processes, real pictures, exit codes, what goes where."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_encoders import turned
from prometheus_client.parser import text_string_to_metric_families

from seemory.memory import Memory
from seemory.settings import read_settings

Run = Callable[..., subprocess.CompletedProcess[str]]
SEEMORY = str(Path(sys.executable).with_name("seemory"))


@pytest.fixture
def seemory(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """Runs `seemory …` in a collection of the test's own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SEEMORY_")}
    own |= {
        "SEEMORY_HOME": str(home),
        "SEEMORY_COLLECTION": request.node.name[:100],
        "SEEMORY_MODEL": "seemory-mini",
        "COLUMNS": "100",
    }

    def run(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
        command = [SEEMORY, *map(str, arguments)]
        environment = own | more.pop("env", {})
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, **more)

    return run


def test_index_then_search(seemory: Run, photos: Path) -> None:
    indexed = seemory("index", photos)
    assert indexed.returncode == 0
    assert indexed.stdout.startswith("8 indexed in ")
    found = seemory("search", "a", "cat", "--limit", "2")
    assert found.returncode == 0
    assert len(found.stdout.splitlines()) == 2
    assert "cat.png" in found.stdout


def test_json_is_one_document_and_nothing_else(seemory: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.jpg").touch()
    report = seemory("index", photos, "--json")
    assert report.returncode == 1
    assert json.loads(report.stdout)["counts"] == {"indexed": 8, "failed": 1}
    assert "bad.jpg" in report.stderr
    answer = json.loads(seemory("search", "a cat", "--json", "-n", "3").stdout)
    assert answer["query"] == {"words": "a cat"}
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    assert set(answer["hits"][0]) == {
        *("item_id", "kind", "uri", "score", "cosine", "rank", "start_s", "end_s", "metadata", "reasons"),
        *("moment_s", "missing", "neighbours", "passages"),
    }
    item = answer["hits"][0]["item_id"]
    for command in (
        ["similar", item],
        ["search", "--like", item[:8]],
        ["show", item],
        ["stats"],
        ["doctor"],
        ["duplicates"],
        ["models", "list"],
        ["models", "check", "seemory-mini", "--home", tmp_path / "checked"],
        ["classify", photos / "cat.png", "--labels", "cat,dog"],
    ):
        run = seemory(*command, "--json")
        assert run.returncode == 0, (command, run.stderr)
        json.loads(run.stdout)


@pytest.fixture(scope="module")
def one_cat(home: Path, package_photographs: dict[str, Path]) -> dict[str, str]:
    """What names a collection with one picture in it."""
    with Memory(read_settings(home=home, collection="one-cat", model="seemory-mini")) as memory:
        assert memory.index(package_photographs["cat"]).indexed == 1
    return {"SEEMORY_COLLECTION": "one-cat"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["search"], 2, "nothing to search for"),
        (["search", "x", "--where", "width"], 2, "width>=1000"),
        (["search", "x", "--where", "width>=wide"], 2, "wide"),
        (["search", "x", "--limit", "0"], 2, "--limit"),
        (["search", "x", "--like", "ffffffff"], 2, "ffffffff"),
        (["index", "nowhere-at-all"], 2, "nowhere-at-all"),
        (["nonsense"], 2, "nonsense"),
        (["models", "pull", "vit-b-23-openai"], 2, "vit-b-32-openai"),
        (["classify", "{photos}/cat.png", "--labels", "cat"], 2, "two different labels"),
        (["search", "--image", "{photos}/words.txt"], 1, "words.txt"),
    ],
)
def test_wrong_use_is_one_clear_line(
    seemory: Run, one_cat: dict[str, str], photos: Path, arguments: list[str], code: int, says: str
) -> None:
    (photos / "words.txt").write_text("no picture")
    run = seemory(*(argument.replace("{photos}", str(photos)) for argument in arguments), env=one_cat)
    assert run.returncode == code, run.stderr
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_what_cannot_be_reached_is_three(seemory: Run, photos: Path) -> None:
    nobody = "postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=2"
    run = seemory("search", "a cat", env={"SEEMORY_DATABASE_URL": nobody})
    assert run.returncode == 3
    assert "Traceback" not in run.stderr
    offline = seemory("index", photos, "--model", "vit-b-32-openai", env={"SEEMORY_MODELS__OFFLINE": "true"})
    assert offline.returncode == 3
    assert "seemory models pull" in offline.stderr


def test_help_names_every_command_quickly(seemory: Run) -> None:
    run = seemory("--help")
    assert run.returncode == 0
    for name in ("demo", "index", "search", "similar", "classify", "duplicates", "models", "db", "stats", "doctor"):
        assert name in run.stdout


def test_stats_say_how_embedding_went(seemory: Run, photos: Path) -> None:
    empty = seemory("stats", "--prometheus")
    assert (empty.returncode, "seemory_files{" in empty.stdout) == (0, True)
    seemory("index", photos)
    shown = seemory("stats").stdout
    assert "100.00%  with a vector" in shown
    assert "0.00%  out of time" in shown
    health = json.loads(seemory("stats", "--json").stdout)["health"]
    assert (health["with_vector"], health["failed"], health["failed_by_reason"]) == (1.0, 0.0, {})
    assert 0 < health["mean_ms"] <= 10_000
    text = seemory("stats", "--prometheus").stdout
    samples = {s.name: s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert (samples["seemory_items"], samples["seemory_items_with_vector_ratio"]) == (8, 1)
    assert samples["seemory_embedding_p95_seconds"] == pytest.approx(health["p95_ms"] / 1000)
    assert seemory("stats", "--json", "--prometheus").returncode == 2


def test_the_database_can_be_reached_with_psql(seemory: Run, photos: Path) -> None:
    seemory("index", photos)
    assert seemory("db", "url").stdout.startswith("postgresql://")
    assert "up to date" in seemory("db", "migrate").stdout
    count = "SELECT count(*) FROM item WHERE collection_id = (SELECT id FROM collection ORDER BY id DESC LIMIT 1)"
    assert seemory("db", "psql", "-At", "-c", count).stdout.strip() == "8"


def test_two_indexers_share_the_embedded_server(home: Path, photos: Path, request: pytest.FixtureRequest) -> None:
    environment = os.environ | {"SEEMORY_HOME": str(home), "SEEMORY_MODEL": "seemory-mini"}
    commands = [[SEEMORY, "index", str(photos), "--collection", request.node.name] for _ in range(2)]
    running = [subprocess.Popen(c, env=environment, stdout=subprocess.PIPE, text=True) for c in commands]
    assert [process.wait() for process in running] == [0, 0]
    stats = subprocess.run(
        [SEEMORY, "stats", "--json", "--collection", request.node.name],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert json.loads(stats.stdout)["items"] == 8


def test_the_server_stops_with_its_last_user_or_stays_warm(seemory: Run, photos: Path, tmp_path: Path) -> None:
    own = {"SEEMORY_HOME": str(tmp_path / "own")}
    assert seemory("index", photos / "cat.png", env=own).returncode == 0
    assert "was not running" in seemory("db", "stop", env=own).stdout
    warm = own | {"SEEMORY_DATABASE__KEEP_WARM": "true"}
    assert "cat.png" in seemory("search", "a cat", env=warm).stdout
    assert "stopped" in seemory("db", "stop", env=own).stdout
    assert "cat.png" in seemory("search", "a cat", env=own).stdout


def test_a_terminal_with_colours_shows_small_pictures_and_a_bar(seemory: Run, photos: Path, home: Path) -> None:
    environment = os.environ | {
        "SEEMORY_HOME": str(home),
        "SEEMORY_COLLECTION": "terminal",
        "SEEMORY_MODEL": "seemory-mini",
        "COLORTERM": "truecolor",
        "TERM": "xterm-256color",
    }
    indexed = in_a_terminal([SEEMORY, "index", str(photos)], environment)
    assert "Indexing" in indexed
    assert "8/8" in indexed
    found = in_a_terminal([SEEMORY, "search", "a cat", "-n", "1"], environment)
    assert "▀" in found or "▄" in found
    assert "\x1b[38;2;" in found


def in_a_terminal(command: list[str], environment: dict[str, str]) -> str:
    """What a command writes when all its streams are a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side closed: Linux says EIO
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0, written
    return written.decode("utf-8", "replace")


def test_change_of_encoder(seemory: Run, photos: Path, tmp_path: Path) -> None:
    other = turned(tmp_path / "turned")
    queries = tmp_path / "queries.txt"
    queries.write_text("a cat\n\na rocket\n")
    seemory("index", photos)
    assert "nothing to switch to" in seemory("reembed", "switch").stderr
    started = seemory("reembed", "start", "--to", other, "--queries", queries, "--json")
    assert started.returncode == 0, started.stderr
    report = json.loads(started.stdout)
    assert (report["embedded"], report["generation"]["state"]) == (8, "ready")
    assert report["verification"]["overlap_words"] == 1.0
    status = json.loads(seemory("reembed", "status", "--json").stdout)
    assert [known["state"] for known in status["generations"]] == ["live", "ready"]
    assert "verified: 8 of 8 items" in seemory("reembed", "status").stdout
    assert "answers now" in seemory("reembed", "switch").stdout
    assert json.loads(seemory("search", "a cat", "--json").stdout)["model"] == "turned"
    assert json.loads(seemory("reembed", "rollback", "--json").stdout)["before"]["state"] == "ready"
    assert seemory("reembed", "drop", stdin=subprocess.DEVNULL).returncode == 1, "nobody said yes"
    assert "is gone" in seemory("reembed", "drop", "--yes").stdout
    assert json.loads(seemory("backfill", "--json").stdout)["without_vector"] == 0


def test_words_for_pictures(seemory: Run, photos: Path) -> None:
    seemory("index", photos)
    said = seemory("describe", photos / "cat.png", "--caption", "Minka", "--tag", "pet", "--tag", "tabby", "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["embedded"] == 1
    answer = json.loads(seemory("search", "where is Minka", "--json").stdout)
    assert answer["hits"][0]["uri"].endswith("cat.png")
    assert answer["channels"]["words"] == {"candidates": 1, "weight": 0.5, "effective": 0.25, "left_out": None}
    assert answer["fusion"] == "rrf"
    assert "cosine   -  " in seemory("search", '"Minka"').stdout
    (photos / "words.csv").write_text("path,caption\nrocket.jpg,a launch\nnone.jpg,nothing\n")
    table = seemory("describe", "--from", photos / "words.csv")
    assert table.returncode == 1
    assert "line 3: none.jpg: no item of the collection" in table.stderr
    assert table.stdout == "1 described, 1 sentence vectors made, 1 rows could not be used\n"
    assert seemory("describe", "--catch-up").stdout == "0 described, 0 sentence vectors made\n"
    assert seemory("describe").returncode == seemory("describe", "--caption", "x", "--catch-up").returncode == 2
    assert seemory("describe", photos / "cat.png").returncode == 2, "nothing was said"


def test_saved_weights(seemory: Run, photos: Path) -> None:
    seemory("index", photos / "cat.png")
    own = ("--owner", "prefers")
    assert "words    0" in seemory("prefer", "--weight", "words=0", *own).stdout
    assert json.loads(seemory("prefer", "--json", *own).stdout)["saved"] == {"words": 0}
    assert seemory("prefer", "--weight", "colour=1", *own).returncode == 2
    assert seemory("prefer", "--weight", "words", *own).returncode == 2
    assert json.loads(seemory("prefer", "--clear", "--json", *own).stdout)["saved"] == {}


def test_an_encoder_is_measured_and_the_choice_is_explained(seemory: Run, tmp_path: Path) -> None:
    own = {"SEEMORY_HOME": str(tmp_path / "own")}
    run = seemory("models", "check", "seemory-mini", "--json", env=own)
    document = json.loads(run.stdout)
    precisions = document["precisions"]
    assert {way["precision"] for way in precisions["ways"]} == {"fp32", "bf16", "int8"}
    assert precisions["auto"]["precision"] in ("fp32", "bf16")
    assert all(finding["ok"] for finding in document["findings"])
    kept = list((tmp_path / "own/models/checked").glob("*.json"))
    assert [json.loads(path.read_text())["ways"] for path in kept] == [precisions["ways"]]
    few = seemory("models", "check", "seemory-mini", "--pictures", tmp_path, env=own)
    assert (few.returncode, "too few" in few.stderr) == (2, True)
    wrong = seemory("models", "check", "seemory-mini@int4", env=own)
    assert (wrong.returncode, "there are fp32, bf16, int8" in wrong.stderr) == (2, True)
    setting = seemory("stats", env=own | {"SEEMORY_MODELS__PRECISION": "fp8"})
    assert (setting.returncode, "models.precision" in setting.stderr) == (2, True)
