"""All figures of one photograph, by name: what the dimensions are judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seemory.advisors.balance import Balance, balance
from seemory.advisors.canvas import Canvas
from seemory.advisors.colour import Colours, colours
from seemory.advisors.depth import depth
from seemory.advisors.lines import Meeting, Strokes, at_the_edge, level, meeting, strokes, thirds
from seemory.advisors.mood import mood
from seemory.advisors.prompts import PromptEvidence
from seemory.advisors.saliency import Attention, attention, isolation
from seemory.advisors.sharpness import Sharpness, sharpness
from seemory.advisors.tones import tones


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in one photograph."""

    canvas: Canvas
    sharp: Sharpness
    attention: Attention
    colours: Colours
    balance: Balance
    lines: Strokes
    meeting: Meeting


def look(canvas: Canvas) -> Seen:
    """All maps and lines of a canvas, each made once."""
    sharp = sharpness(canvas)
    seen = attention(canvas, sharp)
    lines = strokes(canvas)
    return Seen(
        canvas, sharp, seen, colours(canvas), balance(canvas, seen), lines, meeting(canvas, lines, seen)
    )  # fmt: skip


def figures(seen: Seen, prompts: PromptEvidence | None) -> dict[str, float]:
    """Every figure by name; those of the prompts only where an encoder was asked."""
    canvas, sharp = seen.canvas, seen.sharp
    tone, lines, set_off = tones(canvas), level(seen.lines), isolation(canvas, seen.attention, sharp)
    subject = seen.attention.subject
    coarser = sharp.best_coarser(subject)
    cues, means = depth(canvas, sharp, seen.meeting), mood(canvas)
    found = {
        "middle_tone": tone.middle,
        "off_middle": abs(tone.middle - 50),
        "tonal_range": tone.spread,
        "tones_used": tone.entropy,
        "black_share": tone.black,
        "white_share": tone.white,
        "fine_detail": sharp.best(subject),
        "medium_detail": coarser[0],
        "coarse_detail": coarser[1],
        "chroma": seen.colours.chroma,
        "off_harmony": seen.colours.distance,
        "colour_quiet": seen.colours.quiet,
        "hue_variety": seen.colours.variety,
        "colour_apart": set_off.colour,
        "detail_apart": set_off.detail,
        "sharp_apart": set_off.sharpness,
        "attention_gathered": set_off.gathered,
        "subject_area": set_off.area,
        "air": cues.air,
        "lighter_above": cues.lighter,
        "planes": cues.planes,
        "lines_meeting": cues.meeting,
        "near_thirds": thirds(canvas, seen.attention),
        "lines_level": lines.aligned,
        "tilt": lines.tilt,
        "askew": abs(lines.tilt) * lines.order,
        "lines_to_subject": seen.meeting.to_subject,
        "pull_to_edge": at_the_edge(canvas, seen.attention),
        "off_centre": abs(seen.balance.across),
        "weight_across": seen.balance.across,
        "weight_down": seen.balance.down,
        "off_middle_height": abs(seen.balance.down),
        "unequal_sides": seen.balance.unequal,
        "drama": means.drama,
        "colourfulness": means.colourfulness,
    }
    if prompts is not None:
        found |= {f"prompt_{name}": share for name, share in prompts.shares.items()}
        found["prompts"] = float(np.mean(list(prompts.shares.values())))
    return {name: float(value) for name, value in found.items()}


def substance(canvas: Canvas) -> float:
    """Whether there is a picture at all, 0 to 1: an unlit frame has no tones, and noise has no form larger than a dot.

    In photographs some three quarters of the variance of L* remain behind a blur of three pixels, of pebbles and grass
    a tenth, of white noise 1 %: neighbouring pixels of a photograph are alike (Field, 1987, "Relations between the
    statistics of natural images and the response properties of cortical cells").
    """
    lightness = canvas.lightness
    form = float(canvas.blurred(lightness, 3.0 * canvas.enlarged).var() / (float(lightness.var()) + 1e-6))
    return _rising(form, 0.03, 0.1) * _rising(float(lightness.std()), 0.7, 2.5)


def _rising(value: float, low: float, high: float) -> float:
    at = min(1.0, max(0.0, (value - low) / (high - low)))
    return at * at * (3 - 2 * at)
