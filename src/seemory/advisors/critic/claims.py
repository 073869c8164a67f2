"""What a sentence claims of the dimensions: praise, blame or neither, by words that say so plainly.

A short list of plain words per dimension, and of words that turn them round. It hears what is said outright ("tack
sharp", "not in focus") and misses what is only meant: it can find a contradiction, and never proves that there is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

PRAISE: Final = 1
BLAME: Final = -1

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "composition": (
        r"(?:well|strong(?:ly)?|beautifully|carefully|masterful(?:ly)?) compos\w+|well[- ]framed|level horizon",
        r"(?:badly|poorly) (?:composed|framed)|tilted|crooked|weak composition|careless framing",
    ),
    "lighting": (
        r"well[- ](?:lit|exposed)|(?:beautiful|fine|perfect|excellent) (?:light|lighting|exposure|tones|tonal range)"
        r"|full tonal range",
        r"(?:under|over)-?expos\w+|blown(?: out)?|burnt out|washed out|too (?:dark|bright)|(?:flat|poor|dull) light\w*"
        r"|lost shadows",
    ),
    "focus_sharpness": (
        r"(?:tack|razor)?[- ]?sharp(?:ly|ness)?|crisp(?:ly|ness)?|in focus|pin[- ]sharp|finely detailed",
        r"blurr?(?:ed|y|s)?|unsharp|out of focus|soft focus|fuzzy|lacks? (?:sharpness|focus|detail)",
    ),
    "color_harmony": (
        r"harmonious(?:ly)?|(?:beautiful|fine|rich) colou?rs?|well[- ]matched colou?rs?",
        r"clashing|garish|discordant|muddy colou?rs?|colou?rs? clash",
    ),
    "subject_isolation": (
        r"(?:clearly|well|cleanly) (?:isolated|separated)|stands? out|clean background|clear subject",
        r"busy background|clutter(?:ed)?|distracting background|lost in (?:the|its) (?:background|surroundings)"
        r"|no clear subject",
    ),
    "depth_perspective": (
        r"(?:great|strong|real|fine|deep) (?:sense of )?(?:depth|perspective)|three-dimensional",
        r"no depth|lacks? depth|two-dimensional|flat perspective|looks flat",
    ),
    "visual_balance": (
        r"(?:well[- ]|nicely |perfectly )?balanced|(?:fine|good|perfect) balance|equilibrium",
        r"unbalanced|lopsided|off[- ]balance|imbalanced?|too heavy on (?:the|one)",
    ),
    "emotional_impact": (
        r"moving|(?:strong|great|deep) (?:emotion\w*|feeling|impact|mood)|powerful|striking|dramatic",
        r"boring|lifeless|dull|bland|leaves (?:one|me|us) cold|(?:no|little) (?:emotion|feeling|impact)",
    ),
}

_PATTERNS: Final = {
    name: tuple(re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for words in pair) for name, pair in _WORDS.items()
}

_TURNED: Final = re.compile(
    r"\b(?:not|no|never|hardly|barely|without|lacks?|lacking|far from|isn't|aren't|could be|should be|would be"
    r"|needs? to be|more|nothing|neither|less)\b[^.;,]{0,24}$",
    re.IGNORECASE,
)


def claims(text: str) -> dict[str, int]:
    """The dimensions that the text praises or blames outright; those of which it says both are left out."""
    found: dict[str, set[int]] = {}
    for name, (praise, blame) in _PATTERNS.items():
        blamed = list(blame.finditer(text))
        for sense, matches in ((BLAME, blamed), (PRAISE, list(praise.finditer(text)))):
            for match in matches:
                inside = sense == PRAISE and any(one.start() <= match.start() < one.end() for one in blamed)
                if not inside:  # the "sharp" of "lacks sharpness" is no praise
                    turned = _TURNED.search(text[: match.start()]) is not None
                    found.setdefault(name, set()).add(-sense if turned else sense)
    return {name: senses.pop() for name, senses in found.items() if len(senses) == 1}
