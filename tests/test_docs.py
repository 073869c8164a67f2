"""The documentation is under test: what it shows is run, and what exists is written down."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from seemory.cli import cli
from seemory.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def desk(home: Path, tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]) -> Path:
    """Where a reader sits: a folder `Pictures` with eight photographs."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "Pictures").mkdir()
    for path in package_photographs.values():
        shutil.copy(path, folder / "Pictures")
    return folder


def blocks(page: Path, *infos: str) -> Iterator[str]:
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        if match["info"] in infos:
            yield match["body"]


def environment(home: Path, page: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("SEEMORY_")}
    own |= {"SEEMORY_HOME": str(home), "SEEMORY_COLLECTION": f"docs-{page.stem}", "SEEMORY_MODELS__OFFLINE": "true"}
    return own | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}


def shown(body: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the lines shown under it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output.splitlines()


def assert_alike(expected: list[str], printed: str) -> None:
    """The printed text is the expected one, where `…` stands for anything."""
    pattern = r"\s*".join(".*?".join(map(re.escape, line.split("…"))) for line in expected)
    assert re.fullmatch(pattern + r"\s*", printed, re.DOTALL), f"expected {expected}, got:\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_the_page_shows(page: Path, desk: Path, home: Path) -> None:
    for body in blocks(page, "console"):
        for command, output in shown(body):
            run = subprocess.run(
                shlex.split(command),
                cwd=desk,
                env=environment(home, page),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert run.returncode == 0, f"{command}\n{run.stdout}"
            assert_alike(output, run.stdout)
    # What a page has measured must not choose the precision of other tests' collections.
    shutil.rmtree(home / "models" / "checked", ignore_errors=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_runs(page: Path, desk: Path, home: Path) -> None:
    for body in blocks(page, "python"):
        run = subprocess.run(
            [sys.executable, "-c", body],
            cwd=desk,
            env=environment(home, page),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{body}\n{run.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_cannot_run_here_at_least_exist(page: Path) -> None:
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        if not match["info"].startswith("console ("):
            continue
        for command, _ in shown(match["body"]):
            program, *arguments = shlex.split(command)
            if program == "seemory":
                resolve(arguments)


def resolve(arguments: list[str]) -> None:
    """Parse a command line down to its command, running nothing. Raises UsageError on a wrong name or option."""
    context, command = click.Context(cli), cli
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.make_context(command.name, list(arguments), resilient_parsing=False)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_command_and_option_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = dict(
        re.findall(r"^## `seemory ([a-z ]+?)[`A-Z …\[\]]*\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    )
    for name, command in commands(cli):
        assert name in sections, f"docs/commands.md has no section for `seemory {name}`"
        for parameter in command.params:
            if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
                assert any(opt in sections[name] for opt in parameter.opts), f"seemory {name} {parameter.opts[0]}"
    assert set(sections) == {name for name, _ in commands(cli)}, "a section of docs/commands.md is about no command"


def settings_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings_names(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name in settings_names(Settings):
        variable = "SEEMORY_" + name.upper().replace(".", "__")
        assert f"| `{name}` | `{variable}` |" in page, name


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*PAGES, *(ROOT / "docs" / "models").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
