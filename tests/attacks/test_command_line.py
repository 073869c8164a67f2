"""Every command with every option, called by a thief with another owner's ids, paths and metadata.

As with the methods: beside a victim and without one, the same output, the same exit code, the victim's rows untouched.
A command or option that is new has no attack yet, and fails here until it has one.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import psycopg
import pytest

from seemory.cli import cli, main
from seemory.memory import Memory

from .conftest import LIBRARY, Loot, World, assert_no_secret, rows_of

# name: (its parameters, lines to try). {guess} becomes each guess; {own} the thief's folder.
COMMANDS: dict[str, tuple[str, list[str]]] = {
    "search": (
        "words image like plus minus limit offset min_score kind conditions weights fusion language film route group "
        "explain",
        [
            "--like {guess} --json",
            "a cat -n 1000 --plus {guess} --json",
            "a cat -n 1000 --minus {guess}",
            "--image {guess}",
            "{guess} --json --min-score 0 --offset 1 --kind image",
            "a cat -n 1000 --where path~{guess}",
            "a cat -n 1000 --where name~private --where width>=0",
            "private {guess} --json --weight visual=0 --language simple --fusion minmax",
            '\'"private" "cat"\' --json --weight words=2',
            "a cat --film {guess} --json",
            "a cat --film {guess} --explain",
            "who says private {guess} --route rerank --group --json",
            "private {guess} --route words --no-group",
        ],
    ),
    "describe": (
        "item caption tags notes transcript language table catch_up",
        [
            "{guess} --caption x --tag x --notes x --transcript x --language german --json",
            "--from {guess}",
            "--catch-up --json",
        ],
    ),
    "remember": ("words tags when files", ["--from {guess}", "x --when {guess} --tag {guess}"]),
    "recall": (
        "words limit kind conditions",
        ["{guess} --json", "private -n 100 --kind text", "x --where path~{guess}"],
    ),
    "prefer": ("weights clear", ["--json", "--weight words={guess}", "--clear --json"]),
    "similar": ("item limit", ["{guess} --json", "{guess} -n 1000"]),
    "classify": ("file labels templates", ["{guess} --labels cat,dog --template {guess}{{}}"]),
    "advise": (
        "file advisor mode limit html",
        ["{own}/own-cat.png --advisor {guess} -n 100 --json", "{guess} --advisor x --html {own}.html"],
    ),
    "advisor list": ("", ["", "--json"]),
    "advisor show": ("name", ["{guess}", "{guess} --json"]),
    "advisor remove": ("name works yes", ["{guess} --yes", "x {guess} --yes"]),
    "advisor train": (
        "name data epochs rate batch together hold_out patience seed",
        [
            "{guess} --data {guess} --json",
            "{guess} --data x --epochs 1 --rate 0.1 --batch 1 --together 1 --hold-out 0 --patience 0 --seed 1",
        ],
    ),
    "advisor evaluate": ("name data limit free", ["{guess} --json", "{guess} --data {guess} -n 1000 --free"]),
    "advisor refresh": ("name encoder", ["{guess} --json"]),
    "duplicates": ("threshold", ["--threshold 0.99 --json", "--threshold 0.99"]),
    "show": ("item", ["{guess}", "{guess} --json"]),
    "forget": ("items yes", ["{guess} --yes", "--yes {guess} {guess}"]),
    "backfill": ("retry limit", ["--json", "--retry --limit 1000"]),
    "evaluate geometry": (
        "file captions column texts encoders poolings words untrained by labels fit fit_captions sample remedies html",
        [
            "--json",
            "--by {guess} --sample 1000 --remedy none --json",
            "--labels {guess}",
            "{guess} --captions {guess} --vectors {guess}",
            "{own}/own-cat.png --fit {own}/own-cat.png --fit-captions {own}/own-cat.png --json",
            "--texts {guess} --encoder {guess} --pooling cls --words {guess} --untrained",
            "--html /dev/null/x --remedy none",
        ],
    ),
    "evaluate similarity": (
        "file encoders poolings words untrained fit remedies html",
        [
            "{guess} --encoder seemory-mini --fit {guess} --words {guess} --json",
            "{own}/own-cat.png --encoder {guess} --pooling max --untrained --remedy none --html /dev/null/x",
        ],
    ),
    "evaluate ann": (
        "file texts column precisions ms efs prefixes ef_construction k ask sample remedies html",
        [
            "--ask 1 --json",
            "{guess} --queries {guess} --vectors {guess}",
            "{own}/own-cat.png --m {guess}",
            "{own}/own-cat.png --ef 10 --prefix 9 --ef-construction 64 -k 1 --precision halfvec --sample 100",
            "--html /dev/null/x --remedy none",
        ],
    ),
    "evaluate retrieval": (
        "folder captions labels pattern encoders templates widths every html",
        [
            "{guess} --captions {guess} --encoder seemory-mini --json",
            "{own} --captions {guess} --width 9",
            "{own} --labels {guess} --encoder {guess} --template {guess} --every 2",
            "{own} --label-pattern '(own)' --encoder seemory-mini --html /dev/null/x",
        ],
    ),
    "export": ("file", ["{own}.parquet --json"]),
    "db psql": (
        "arguments",
        [
            "-XAtc 'SELECT count(*), min(uri) FROM asset'",
            "-XAtc 'SELECT owner_id FROM collection_owner'",
            "-XAtc \"DELETE FROM item WHERE id::text LIKE '{guess}%'\"",
        ],
    ),
}

WHERE_IT_IS = {"home", "collection", "owner", "model", "json_"}

# The same calls as methods that are attacked there.
SAME_AS_METHODS = {
    "index": "Memory.index, attacked in test_methods.py",
    "advisor add": "Memory.advisors.add, attacked there",
    "import": "Memory.import_vectors, attacked there",
    "mcp": "its tools are Memory's methods, attacked there; by ids and paths of another owner in test_mcp.py",
    "serve": "each of its routes is attacked in test_service.py",
    "stats": "Memory.stats, attacked there; beside it the shared tables' sizes",
}

# Said to users in docs/security.md.
OPERATORS = {
    "reembed start": "changes the encoder for all owners of a collection",
    "reembed status": "counts over all owners, and the reasons of failures",
    "reembed queries": "the operator's words, a collection's and no owner's",
    "reembed report": "compares two generations over all owners",
    "reembed switch": "for all owners",
    "reembed rollback": "for all owners",
    "reembed drop": "for all owners",
    "db backup": "the whole memory; refused to a role that row-level security binds",
    "db restore": "the whole memory; refused without --replace where there is anything",
    "db url": "no rows",
    "db migrate": "no rows",
    "db upgrade": "the whole memory, to a newer Postgres; each owner's rows are compared and none shown",
    "db distribute": "the whole memory, to a cluster; counts rows of all owners",
    "db stop": "no rows",
    "doctor": "no rows",
    "keys create": "an operator's: it says whose memory is opened",
    "keys list": "an operator's: the keys of all owners, without what they are",
    "keys revoke": "an operator's",
    "demo": "pictures of its own in a collection of its own, through the methods attacked there",
    "align scenes": "no rows",
    "align features": "no rows; hostile files are in test_alignment_files.py",
    "align train": "no rows; hostile files are in test_alignment_files.py",
    "align sweep": "no rows; hostile files are in test_alignment_files.py",
    "align export": "no rows; hostile files are in test_alignment_files.py",
    "align evaluate": "no rows; hostile files are in test_alignment_files.py",
    "models list": "no rows",
    "models pull": "no rows",
    "models check": "no rows",
    "models export": "no rows",
}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_command_and_option_is_attacked() -> None:
    known = dict(commands(cli))
    assert set(known) == {*COMMANDS, *SAME_AS_METHODS, *OPERATORS}, "a command has no attack, or an attack no command"
    for name, (attacked, _) in COMMANDS.items():
        given = " ".join(str(param.name) for param in known[name].params if param.name not in WHERE_IT_IS)
        assert given == attacked, f"attack the parameters of `seemory {name}`, then name them here"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_guess_finds_nothing_by_any_command(
    name: str,
    worlds: tuple[World, World],
    loot: Loot,
    victim: Memory,
    eye: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = rows_of(eye, victim.owner)
    for line in COMMANDS[name][1]:
        some = [str(loot.item.item_id), str(loot.item.item_id)[:8], loot.item.uri, str(loot.item.sha256), LIBRARY]
        for guess in some if "{guess}" in line else [""]:
            outcomes = []
            for world in worlds:
                for setting in ("home", "owner", "collection"):
                    monkeypatch.setenv(f"SEEMORY_{setting.upper()}", str(getattr(world.thief, setting)))
                arguments = shlex.split(line.format(guess=guess, own=world.own))
                with pytest.raises(SystemExit) as left:
                    main([*name.split(), *arguments])
                printed, said = capfd.readouterr()
                assert "Traceback" not in said
                outcomes.append(world.told(f"{left.value.code} {printed} {said}"))
                assert_no_secret(outcomes[-1], loot, guess)
            assert outcomes[0] == outcomes[1], f"`{name} {line}` with {guess} shows that there is somebody else"
    assert rows_of(eye, victim.owner) == before
