"""An advice as one HTML page that needs nothing else and that one would print."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from textwrap import shorten
from typing import Final

from seemory.advisors.advice import Advice
from seemory.advisors.comparison import CaseStudy, Comparison, Standing
from seemory.advisors.critic.section import footnote, remarks, section, spoken
from seemory.advisors.page_style import POLICY, STYLE
from seemory.advisors.profile import HIGHEST
from seemory.advisors.radar import radar
from seemory.advisors.wording import NAMES, Statement
from seemory.store.libraries import Reference

_OVERLAYS: Final = {
    "sharpness": (
        "Where it is sharp",
        "Bright where edges are steep, dark where they are soft.",
        "Map of sharpness over the photograph",
    ),
    "saliency": (
        "Where the eye goes",
        "Bright where something stands out of its surroundings.",
        "Map of what stands out in the photograph",
    ),
    "thirds": (
        "Lines and thirds",
        "Yellow the thirds, blue the longest straight edges; ring: middle of the subject, cross: middle of the weight.",
        "The photograph with the lines of thirds, its straight edges and the middles of subject and weight",
    ),
    "hues": (
        "Its hues",
        "As long a ray as there is of a hue; the dark arcs mark the nearest harmonic template.",
        "Hue circle with the photograph's hues and the nearest harmonic template",
    ),
}

_BEGINNING: Final = re.compile(r"^([A-Z][a-z ]{2,30}:)")

_LONGEST_BIOGRAPHY: Final = 1200

Proof = Callable[[Reference], bytes | None]
"""A work's small copy, as JPEG bytes."""


def page(
    advice: Advice, photograph: bytes, overlays: Mapping[str, bytes], proof: Proof, biography: str | None = None
) -> str:
    """The page.

    Args:
        advice: what was found.
        photograph: it, as JPEG bytes of the size to show.
        overlays: pictures of the evidence by the names of `seemory.advisors.overlays`, as PNG or JPEG bytes.
        proof: gives the works' small copies.
        biography: a text about the advisor.
    """
    name = advice.photograph.replace("\\", "/").rpartition("/")[2]
    # Where nothing was measured, what the critic says is all there is.
    own, critics = (advice.words, ()) if advice.mode == "critic" else spoken(advice.words)
    body = [*_head(advice, name), *_opening(own, name, photograph), section(critics)]
    if advice.comparison is not None:
        body += _dimensions(advice.comparison, overlays, remarks(advice.critic, advice.comparison))
        body += _cases(advice.comparison.cases, name, photograph, proof)
    body += [*_beside(advice, proof), *_about(advice.advisor, biography), *_foot(advice)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}, beside the works of {escape(advice.advisor)}</title>"
        f"<style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _head(advice: Advice, name: str) -> Iterator[str]:
    works = f"beside {advice.works} work{'' if advice.works == 1 else 's'} in the library of"
    if advice.mode == "critic":
        works = "by the critic of"
    yield f'<header><p class="over">Advice on a photograph</p><h1>{escape(name)}</h1>'
    yield f'<p class="under">{works} <strong>{escape(advice.advisor)}</strong></p></header>'


def _opening(words: Sequence[Statement], name: str, photograph: bytes) -> Iterator[str]:
    picture = _picture(photograph, f"The photograph {name}")
    lead, *rest = [escape(one.text) for one in words] or [""]
    points = "".join(f"<li>{_with_beginning(text)}</li>" for text in rest)
    yield f'<section class="opening"><figure class="hero">{picture}</figure>'
    yield f'<div class="short"><h2>In short</h2><p class="lead">{lead}</p>'
    yield f"<ul>{points}</ul></div></section>" if points else "</div></section>"


def _with_beginning(text: str) -> str:
    """The text, what it begins with (First: …) made to stand out."""
    return _BEGINNING.sub(r"<strong>\1</strong>", text)


def _dimensions(comparison: Comparison, overlays: Mapping[str, bytes], said: Mapping[str, str]) -> Iterator[str]:
    standings = comparison.standings
    drawing = radar(
        [NAMES[one.dimension] for one in standings],
        [one.score for one in standings],
        [one.usual for one in standings],
        [one.best_score for one in standings],
    )
    yield '<section><h2>Eight dimensions</h2><div class="scores"><div><figure>'
    yield f"{drawing}<figcaption class='key'><span class='k own'>this photograph</span>"
    yield "<span class='k usual'>the library's middle</span><span class='k best'>its best in each</span>"
    yield "<span>Beside the bars: a stroke at the middle, a ring at the best.</span></figcaption>"
    yield "</figure>"
    yield from _evidence(overlays)
    yield '</div><div class="bars">'
    yield from (_bar(one, said.get(one.dimension, "")) for one in standings)
    yield "</div></div></section>"


def _bar(one: Standing, critic: str) -> str:
    said = {"strength": "a strength", "priority": "to work on", "level": ""}[one.place]
    mark = f' <span class="mark {one.place}">{said}</span>' if said else ""
    told = f"{one.score:.1f} of 10; the library's middle is {one.usual:.1f}, its best {one.best_score:.1f}"
    return (
        f'<div class="row"><div class="name">{escape(NAMES[one.dimension]).capitalize()}{mark}</div>'
        f'<div class="value">{one.score:.1f}</div>'
        f'<svg class="bar" role="img" aria-label="{escape(told)}">'
        '<rect class="whole" y="3" width="100%" height="7" rx="4"/>'
        f'<rect class="own" y="3" width="{_percent(one.score)}" height="7" rx="4"/>'
        f'<line class="usual" x1="{_percent(one.usual)}" x2="{_percent(one.usual)}" y1="0" y2="13"/>'
        f'<circle class="best" cx="{_percent(one.best_score)}" cy="6.5" r="3.5"/></svg>'
        f'<p class="comment">{escape(one.measured.comment)}</p>{critic}</div>'
    )


def _cases(cases: Sequence[CaseStudy], name: str, photograph: bytes, proof: Proof) -> Iterator[str]:
    if not cases:
        return
    yield '<section><h2>Works that show how</h2><div class="cases">'
    for case in cases:
        work = case.work.reference
        yield f'<article class="case"><h3>{escape(NAMES[case.dimension]).capitalize()}</h3><div class="pair">'
        yield f"<figure>{_picture(photograph, f'The photograph {name}')}"
        yield f'<figcaption><span class="score">{case.own:.1f}</span> this photograph</figcaption></figure>'
        yield f"<figure>{_shown(work, proof)}<figcaption><span class='score'>{case.theirs:.1f}</span> {_cited(work)}"
        yield f"</figcaption></figure></div><p class='comment'>Of the work: {escape(case.measured.comment)}</p>"
        yield "</article>"
    yield "</div></section>"


def _beside(advice: Advice, proof: Proof) -> Iterator[str]:
    """The works named, each once: those most like it, and those that have most to teach it."""
    reasons: dict[bytes, list[str]] = {}
    for like in advice.similar:
        reasons.setdefault(like.reference.sha256, []).append(_sentence(like.reason))
    for study in advice.comparison.to_study if advice.comparison else ():
        said = reasons.setdefault(study.work.reference.sha256, [])
        said += [] if said else [_sentence(study.work.reason)]
        if study.gap > 0:
            said.append(
                f"To study: {study.gap:+.1f} in {NAMES[study.dimension]}, with {study.scores[study.dimension]:.1f}"
            )
    works = {one.sha256: one for one in _works(advice)}
    if not reasons:
        return
    yield '<section><h2>Beside the library\'s works</h2><div class="works">'
    for sha256, lines in reasons.items():
        why = "".join(f'<span class="why">{escape(line)}</span>' for line in lines)
        yield f"<figure>{_shown(works[sha256], proof)}<figcaption>{_cited(works[sha256])}{why}</figcaption></figure>"
    yield "</div></section>"


def _about(advisor: str, biography: str | None) -> Iterator[str]:
    if biography:
        short = shorten(biography, _LONGEST_BIOGRAPHY, placeholder=" …")
        yield f"<section><h2>About {escape(advisor)}</h2><p>{escape(short)}</p></section>"


def _evidence(overlays: Mapping[str, bytes]) -> Iterator[str]:
    if not overlays:
        return
    yield '<h3>What the scores rest on</h3><div class="overlays">'
    for name, (title, words, alternative) in _OVERLAYS.items():
        if name in overlays:
            yield f'<figure class="{name}">{_picture(overlays[name], alternative)}'
            yield f"<figcaption><strong>{escape(title)}.</strong> {escape(words)}</figcaption></figure>"
    yield "</div>"


def _foot(advice: Advice) -> Iterator[str]:
    yield "<footer>"
    missing = [f"<li>{escape(line)}</li>" for line in advice.missing]
    gone = {one.name for one in _works(advice) if not one.is_here}
    missing += [f"<li>The file of {escape(name)} is gone; its stored copy is shown.</li>" for name in sorted(gone)]
    if missing:
        yield f"<h2>Missing</h2><ul>{''.join(missing)}</ul>"
    credits = [_credit(one) for one in _works(advice) if one.source or one.licence]
    if credits:
        yield f"<p><strong>Works shown.</strong> {'; '.join(credits)}.</p>"
    yield footnote(advice.critic)
    if advice.mode == "critic":
        yield f"<p>SHA-256 of the photograph: {advice.sha256}.</p></footer>"
        return
    how = "Likeness is the cosine of two pictures' vectors"
    if advice.comparison is not None:
        how += (
            "; scores are measures of craft, made of figures, from 0 to 10, and know nothing of what a picture means. "
            "A difference of less than half a point says nothing"
        )
    made = [f"encoder {advice.model}"] + ([advice.comparison.formulas.partition(",")[0]] if advice.comparison else [])
    yield f"<p>{how}. Compared by {escape(', '.join(made))}. SHA-256 of the photograph: {advice.sha256}.</p></footer>"


def _works(advice: Advice) -> list[Reference]:
    """The works that are shown, each once."""
    found = [one.reference for one in advice.similar]
    if advice.comparison is not None:
        found += [one.work.reference for one in advice.comparison.cases]
        found += [one.work.reference for one in advice.comparison.to_study]
    return list({one.sha256: one for one in found}.values())


def _credit(work: Reference) -> str:
    return escape(", ".join(part for part in (work.name, work.year, work.source, work.licence) if part))


def _cited(work: Reference) -> str:
    year = f", {escape(work.year)}" if work.year else ""
    gone = "" if work.is_here else ' <span class="gone">(file gone)</span>'
    return f"<em>{escape(work.name)}</em>{year}{gone}"


def _shown(work: Reference, proof: Proof) -> str:
    small = proof(work)
    if small is None:  # removed from the library since
        return '<div class="nothing" role="img" aria-label="no picture"></div>'
    return _picture(small, f"{work.name}, a work of the library")


def _picture(content: bytes, alternative: str) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f'<img alt="{escape(alternative)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'


def _percent(score: float) -> str:
    return f"{100 * score / HIGHEST:.1f}%"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
