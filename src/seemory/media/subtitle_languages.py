"""Languages as subtitles name them → the text search configurations of Postgres."""

from __future__ import annotations

import re
from typing import Final

from seemory.cues import SIMPLE

_CONFIGURATIONS: Final = {
    "arabic": "ar ara",
    "armenian": "hy hye arm",
    "basque": "eu eus baq",
    "catalan": "ca cat",
    "danish": "da dan",
    "dutch": "nl nld dut",
    "english": "en eng",
    "estonian": "et est",
    "finnish": "fi fin",
    "french": "fr fra fre",
    "german": "de deu ger",
    "greek": "el ell gre",
    "hindi": "hi hin",
    "hungarian": "hu hun",
    "indonesian": "id ind",
    "irish": "ga gle",
    "italian": "it ita",
    "lithuanian": "lt lit",
    "nepali": "ne nep",
    "norwegian": "no nor nb nob nn nno",
    "portuguese": "pt por",
    "romanian": "ro ron rum",
    "russian": "ru rus",
    "serbian": "sr srp",
    "spanish": "es spa",
    "swedish": "sv swe",
    "tamil": "ta tam",
    "turkish": "tr tur",
    "yiddish": "yi yid",
}
_BY_TAG: Final = {tag: name for name, tags in _CONFIGURATIONS.items() for tag in (name, *tags.split())}
_SHORT: Final = {tag: tags.split()[0] for name, tags in _CONFIGURATIONS.items() for tag in (name, *tags.split())} | {
    long: short
    for short, names in {
        "ja": "jpn", "zh": "zho chi", "ko": "kor", "pl": "pol", "cs": "ces cze", "uk": "ukr", "he": "heb", "vi": "vie",
        "th": "tha",
    }.items()
    for long in names.split()
}  # fmt: skip
_TAG: Final = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{2,8})*")


def configuration(tag: str) -> tuple[str, str] | None:
    """(text search configuration, tag) of a language tag or an English name; None where it is neither.

    A language that Postgres has no configuration for is read as `simple`, word by word as it stands.
    """
    lower = tag.strip().lower()
    if lower == "und" or not (lower in _BY_TAG or _TAG.fullmatch(lower)):
        return None
    primary = re.split("[-_]", lower)[0]
    return _BY_TAG.get(primary, SIMPLE), _SHORT.get(primary, primary)
