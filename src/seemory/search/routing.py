"""What a query asks for → whether sight leads, re-ranks what words found, or is left out: rules that can be read.

Words in quotes, and what somebody says, mentions or talks about, are looked for in what was said of scenes. All else is
taken for a description of what is seen. What stands before the verb of saying, or beside the quotes, describes too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from seemory.errors import UsageError
from seemory.search.wording import read_wording
from seemory.types import Visual

RouteName = Literal["auto", "visual", "rerank", "words"]

ROUTES: Final = ("auto", "visual", "rerank", "words")

# A verb of saying counts where something said follows: "says hello" does, "talking on the phone" does not.
_ABOUT = r"(?:about|of)\s+"
_NO_PLACE = r"(?!(?:at|in|into|on|to|with|near|by|under|over|behind|beside)\b)"
_SAYS = re.compile(
    rf"\b(?P<cue>(?:say|says|said|saying|mention|mentions|mentioned|mentioning|discuss|discusses|discussed|discussing|"
    rf"explain|explains|explained|explaining)\s+{_NO_PLACE}"
    rf"|(?:talk|talks|talked|talking|speak|speaks|spoke|speaking|speech|conversation|dialogue|discussion|interview)\s+"
    rf"{_ABOUT}"
    rf"|(?:asks?|asked|asking)\s+(?=(?:about|for|whether|if|why|where|who|what|how|when)\b)"
    rf"|(?:tells?|told|telling)\s+(?:\S+\s+)?(?=(?:about|that)\b))(?P<said>\S.*)",
    re.IGNORECASE | re.DOTALL,
)
_IS_SAID = re.compile(
    r"(?P<said>.+?)\s+(?:(?:is|are|was|were|gets?|being|been)\s+)?"
    r"(?P<cue>mentioned|discussed|said|talked about|spoken of)\s*\?*\s*",
    re.IGNORECASE | re.DOTALL,
)
# What these say is written on them, and seen.
_WRITTEN = re.compile(
    r"\b(?:sign|signs|poster|posters|shirt|t-shirt|label|screen|banner|billboard|letters|writing|note|page|book|board|"
    r"headline|caption|subtitle|title|card|sticker|graffiti|newspaper)\b",
    re.IGNORECASE,
)
# Around what is said or seen they say neither.
_NEITHER = """
who whom someone somebody anyone anybody everyone everybody he she they we i you it the a an any every first last then
scene scenes moment moments part parts clip clips shot shots time where when which that what why how in at of is are was
were do does did gets find show me and once ever about word words phrase line
say says said saying mention mentions mentioned mentioning talk talks talked talking speak speaks spoke speaking
discuss discusses discussed discussing explain explains explained explaining ask asks asked tell tells told"""
_FILLERS: Final = frozenset(_NEITHER.split())


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is to be answered."""

    visual: Visual
    reason: str
    said: str
    """What documents and sentence vectors are searched for; conditions stand in it as they were typed."""
    shown: str
    """What the encoder of pictures sees; empty where there is nothing for it."""
    hard: bool = False
    """Whether there is no other way to go where nobody said it."""


def plan(words: str, *, examples: bool, asked: RouteName = "auto") -> Plan:
    """The way for a query in words, or, with `examples`, for one that has pictures or items in it.

    Raises:
        UsageError: a way was asked for that there is not, or that a query by pictures cannot go.
    """
    if asked not in ROUTES:
        raise UsageError(f"{asked!r} is no route: use one of {', '.join(ROUTES)}")
    wording = read_wording(words)
    text = wording.text.strip()
    if examples:
        if asked in ("rerank", "words"):
            raise UsageError(f"a picture or an item has no words to go by: the route {asked} is for words alone")
        return Plan("alone", "a picture, an item or a vector is compared by sight", words, text)
    conditions = _typed(wording.must, wording.must_not)
    if not text:
        return Plan("left out", "there are conditions alone, and nothing to look at", words, "", hard=True)
    heard = _heard(text)
    said, shown, cue = heard or (text, text, "")
    if asked == "visual":
        return Plan("leads", "asked for", words, text)
    if asked == "rerank":
        return Plan("re-ranks", "asked for", _joined(conditions, said), shown or text, hard=True)
    if asked == "words":
        return Plan("left out", "asked for", _joined(conditions, said), "", hard=True)
    if wording.must:
        beside = _content(text) if not heard else shown
        searched = _joined(conditions, said if heard else "")
        if not beside:
            return Plan("left out", "words in quotes are looked for in what was said", searched, "", hard=True)
        why = "words in quotes lead, and the rest describes what is seen"
        return Plan("re-ranks", why, searched, beside, hard=True)
    if heard:
        searched = _joined(conditions, said)
        if not shown:
            return Plan("left out", f"{cue!r}: it is said, not seen", searched, "")
        return Plan("re-ranks", f"{cue!r}: what is said leads, and what stands before it is seen", searched, shown)
    return Plan("leads", "it describes what is seen", words, text)


def _heard(text: str) -> tuple[str, str, str] | None:
    """What is said, what is seen beside it, and the word that tells; None where nobody says anything."""
    found = _SAYS.search(text)
    if found and not _WRITTEN.search(text[: found.start()]):
        said = found["said"].strip(" ?!:.,")
        if len(said.split()) > 1 and said.split()[0].lower() in ("about", "that", "of"):
            said = said.split(maxsplit=1)[1]
        return (said, _content(text[: found.start()]), found["cue"].strip().lower()) if said else None
    passive = _IS_SAID.fullmatch(text)
    if passive and not _WRITTEN.search(passive["said"]) and (said := _content(passive["said"])):
        return said, "", passive["cue"].lower()
    return None


def _content(text: str) -> str:
    """A text without the words at its ends that neither show nor say anything."""
    words = text.strip(" ?!:.,").split()
    while words and words[0].lower().strip(",") in _FILLERS:
        words.pop(0)
    while words and words[-1].lower().strip(",") in _FILLERS:
        words.pop()
    return " ".join(words)


def _typed(must: Sequence[str], must_not: Sequence[str]) -> str:
    """Conditions as a person types them."""
    return " ".join([f'"{phrase}"' for phrase in must] + [f'-"{phrase}"' for phrase in must_not])


def _joined(conditions: str, text: str) -> str:
    return f"{conditions} {text}".strip()
