"""The command line: each command is a short call of the library.

Results go to stdout, progress and remarks to stderr. Exit codes: 0 done, 1 done but something failed (it says what),
2 wrong use, 3 cannot reach what it needs.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence

import click

from seemory import __version__
from seemory.cli.on_demand import OnDemand
from seemory.errors import SeemoryError

COMMANDS = OnDemand(
    {
        "seemory.cli.library": ("index", "search", "similar", "classify", "duplicates", "show", "forget"),
        "seemory.cli.words": ("describe", "prefer"),
        "seemory.cli.memories": ("remember", "recall"),
        "seemory.cli.advisors": ("advise", "advisor"),
        "seemory.cli.reembed": ("reembed", "backfill"),
        "seemory.cli.evaluate": ("evaluate",),
        "seemory.cli.exchange": ("import", "export"),
        "seemory.cli.models": ("models",),
        "seemory.cli.align": ("align",),
        "seemory.cli.database": ("db",),
        "seemory.cli.serve": ("serve",),
        "seemory.cli.keys": ("keys",),
        "seemory.cli.agent": ("mcp",),
        "seemory.cli.system": ("demo", "stats", "doctor"),
    }
)


@click.group(commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="seemory")
def cli() -> None:
    """Find photographs by words, by picture or by example: a visual memory on Postgres."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code; an expected error is one line on stderr, not a trace."""
    warnings.filterwarnings("ignore", module="PIL")  # of damaged tags in files; what matters comes as an error
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # of each try to connect; what matters comes as an error
    try:
        code = cli.main(args=None if arguments is None else list(arguments), standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except SeemoryError as error:
        click.echo(f"seemory: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("seemory: stopped; finished work is kept", err=True)
        sys.exit(1)
    except BrokenPipeError:  # `seemory search … | head`
        sys.stderr.close()
        sys.exit(0)
