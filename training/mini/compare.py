"""Stage `compare`: the teachers and exported folders side by side, and a contact sheet of the fifty queries of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import abilities, export, gallery, joined, sheet
from .sources import Split
from .towers import Towers


def columns(data: Path, work: Path, parts: Split, folders: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """What the teachers (where `aim.pkl` says how they are joined) and each folder's towers can do.

    Printed as a table and written to columns.json.

    The sheets, `fifty-NAME.png` in the work folder, show pictures that must not be given on.
    """
    seers: dict[str, abilities.Seer] = {name: Towers(folder) for name, folder in folders.items()}
    if (work / "aim.pkl").exists():
        seers = {"teachers": joined.Teachers(data, export.aim(work)), **seers}
    ten, forty = gallery.ten()[0], gallery.whole(data, parts)
    found = {}
    for name, seer in seers.items():
        found[name] = abilities.all_of(seer, data, parts)
        sheet.draw([(ten, found[name]["ten"]), (forty, found[name]["forty"])], work / f"fifty-{name}.png")
    print("| | " + " | ".join(found) + " |\n|" + " --- |" * (1 + len(found)))
    for line in abilities.lines(found):
        print("| " + " | ".join(line) + " |")
    (work / "columns.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found
