"""A photograph in eight dimensions: which figures make which score, and what is said of them.

These are measures of craft: what is sharp, where the tones lie, what stands out. They know nothing of what a picture
shows or means. Every formula is of this project's making, from parts with a source (named where they are computed); how
each follows a controlled change is measured by benchmarks/dimensions.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from seemory.advisors.canvas import Canvas
from seemory.advisors.judging import Term, score, sentence, total
from seemory.advisors.profile import Measured, Profile
from seemory.advisors.prompts import PAIRS, PromptEvidence
from seemory.advisors.scales import SUMS, TENTHS
from seemory.errors import UsageError
from seemory.types import Pixels

FORMULAS: Final = 4
"""Raised whenever a figure is computed otherwise. Weights, words and constants tell of a change themselves."""

MONOCHROME: Final = 6.5
"""Colour harmony of a picture without colour: nothing clashes, and nothing plays together either."""

COLOURED: Final = "coloured"
"""The evidence of colour harmony that says whether there is any colour to judge, 0 to 1; it is from 0.5 on."""

# fmt: off
TERMS: Final[Mapping[str, tuple[Term, ...]]] = {
    "composition": (
        Term("near_thirds", 0.9, "The subject's closeness to a crossing of the thirds is {:.2f} of 1",
             "moving it towards such a crossing"),
        Term("lines_level", 1.2, "The lines' agreement with the frame's directions is {:.2f} of 1",
             "levelling the picture"),
        Term("askew", -1.6, "The lines stand {:.1f} degrees askew", "levelling the picture"),
        Term("pull_to_edge", -0.5, "The frame's edge draws {:.2f} times its share of attention",
             "clearing what pulls the eye to the edge"),
        Term("lines_to_subject", 0.4, "Lines point at the subject {:.1f} times as often as by chance",
             "a stand from which lines lead to the subject"),
    ),
    "lighting": (
        Term("tones_used", 1.0, "The tones are used to {:.1f} of 5.6 bits",
             "an exposure, or light, that spreads the tones more evenly"),
        Term("tonal_range", 0.5, "The tones reach over {:.0f} of 100 steps of lightness",
             "more light in the lights or more depth in the shadows"),
        Term("off_middle", -0.7, "The middle tone is {:.0f} steps of lightness off the middle", "another exposure"),
        Term("black_share", -0.6, "{:.0f} % of the picture is black without drawing",
             "more exposure, or light in the shadows,", 100),
        Term("white_share", -0.6, "{:.0f} % of the picture is burnt out to white", "less exposure", 100),
    ),
    "focus_sharpness": (
        Term("fine_detail", 1.0, "A fine blur makes the sharpest edges {:.2f} times flatter",
             "focus, a steadier hand or a shorter time"),
        Term("medium_detail", 0.4, "A medium blur makes the sharpest edges {:.2f} times flatter",
             "focus, a steadier hand or a shorter time"),
        Term("coarse_detail", 0.15, "A coarse blur makes the sharpest edges {:.2f} times flatter",
             "focus, a steadier hand or a shorter time"),
    ),
    "color_harmony": (
        Term("off_harmony", -1.0, "The hues lie {:.1f} degrees off the nearest harmonic template",
             "leaving out, or muting, the hues beside it"),
        Term("colour_quiet", 1.0, "Neighbouring colours agree to {:.0f} %",
             "fewer small patches of differing colour", 100),
    ),
    "subject_isolation": (
        Term("colour_apart", 0.3, "The subject's colour stands {:.1f} spreads off its surroundings",
             "a plainer background, or one of another colour or lightness,",
             grey=("The subject's tone stands {:.1f} spreads off its surroundings",
                   "a plainer background, or a lighter or darker one,")),
        Term("detail_apart", 1.2, "The subject has {:.1f} times the detail of its surroundings",
             "a quieter background or a wider aperture"),
        Term("sharp_apart", 0.6, "The subject is {:.1f} times as sharp as its surroundings",
             "a wider aperture, or more distance between subject and background,"),
        Term("attention_gathered", 0.5, "The most striking fifth of the picture holds {:.0f} % of the attention",
             "having one subject, larger or by itself,", 100),
    ),
    "depth_perspective": (
        Term("air", 2.0, "Contrast and colour fade upwards by {:.1f} doublings",
             "a foreground with weight before a fainter distance",
             grey=("Contrast fades upwards by {:.1f} doublings", "a foreground with weight before a fainter distance")),
        Term("planes", 0.35, "The sharpest edges are {:.1f} times as sharp as the softest",
             "a wider aperture, or something close in front,"),
        Term("lines_meeting", 0.7, "{:.1f} % of the lines run to one meeting point", "a stand from which lines recede",
             100),
        Term("lighter_above", 0.5, "The upper half is {:.0f} steps lighter", "a darker foreground"),
    ),
    "visual_balance": (
        Term("off_centre", -1.0, "The centre of weight lies {:.0f} % of half the width off the middle",
             "something that answers on the emptier side", 100),
        Term("unequal_sides", -1.0, "{:.0f} % of the weight has no counterpart on the other side",
             "something that answers on the emptier side", 100),
        Term("off_middle_height", -0.15, "The centre of weight lies {:.0f} % of half the height off the middle",
             "a little more or less of the sky or the ground", 100),
    ),
    "emotional_impact": (
        Term("drama", 1.0, "Light and dark areas lie {:.0f} steps of lightness apart", "bolder light against dark"),
        Term("colourfulness", 0.7, "The colours are {:.0f} strong, where 100 is extreme", "stronger colour, or none,",
             grey=("", "")),
        Term("prompts", 0.6, "The encoder finds it {:.0f} % stirring rather than dull", "a moment with life in it",
             100),
    ),
}
# fmt: on


def formulas(prompts: str | None = None) -> str:
    """What a profile made now would say of its formulas; `prompts` is the fingerprint of the encoder asked, if any.

    A stored profile that says something else is to be made again.
    """
    constants = hashlib.sha256(repr((dict(TERMS), TENTHS, SUMS, PAIRS)).encode()).hexdigest()[:12]
    return f"dimensions {FORMULAS}-{constants}" + (f", prompts by {prompts}" if prompts else "")


def require_packages() -> None:
    """Nothing, where the packages of the extra `advisors` are installed.

    Raises:
        UsageError: they are not.
    """
    missing = [name for module, name in (("cv2", "OpenCV"), ("skimage", "scikit-image")) if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"measuring a photograph's dimensions needs {' and '.join(missing)}: pip install 'seemory[advisors]'"
        )


def measure(photograph: Pixels, prompts: PromptEvidence | None = None) -> Profile:
    """The eight scores of a photograph, `(H, W, 3)` uint8 RGB and upright, each with its comment and its figures.

    Without `prompts`, emotional impact rests on its other figures alone, and `formulas` says so.

    Raises:
        UsageError: it is no photograph's array, is too small or narrow, or the extra `advisors` is not installed.
    """
    require_packages()
    from seemory.advisors.figures import figures, look, substance

    canvas = Canvas(photograph)
    values = figures(look(canvas), prompts)
    there = substance(canvas)
    measured = {name: _measured(name, terms, values, there) for name, terms in TERMS.items()}
    return Profile(measured, formulas(prompts.encoder if prompts else None))


def sum_of(name: str, values: Mapping[str, float]) -> float:
    """The weighted mean place of a dimension's figures among those of photographs, before it becomes a score."""
    parts = dict(values)
    if name == "emotional_impact":  # a picture without colour is not a faint one
        coloured = _coloured(values)
        parts["colourfulness"] = coloured * values["colourfulness"] + (1 - coloured) * TENTHS["colourfulness"][1]
    return total(TERMS[name], parts, TENTHS)


def _measured(name: str, terms: tuple[Term, ...], values: Mapping[str, float], there: float) -> Measured:
    points = score(sum_of(name, values), SUMS[name])
    coloured = _coloured(values)
    comment = sentence(terms, values, TENTHS, coloured=coloured > 0.5)
    evidence = {term.figure: values[term.figure] for term in terms if term.figure in values}
    if name == "color_harmony":
        evidence |= {"chroma": values["chroma"], "hue_variety": values["hue_variety"], COLOURED: coloured}
        points = coloured * points + (1 - coloured) * MONOCHROME
        if coloured < 0.5:
            comment = (
                f"A monochrome picture, its tones {values['chroma']:.1f} steps off grey on average: there are no hues "
                f"to judge, and every such picture has {MONOCHROME:g} here, which is neither praise nor blame."
            )
    if name == "visual_balance":
        evidence |= {"weight_across": values["weight_across"], "weight_down": values["weight_down"]}
    if name == "composition":
        evidence["tilt"] = values["tilt"]
    if name == "emotional_impact":
        evidence |= {key: values[key] for key in (f"prompt_{pair}" for pair in PAIRS) if key in values}
    if there < 0.5:
        comment = (
            f"There is hardly a picture here ({there:.0%} of a photograph's form and contrast): "
            "a frame with something in it, and light on it, would raise this."
        )
    return Measured(points * there, comment, evidence | {"substance": there})


def _coloured(values: Mapping[str, float]) -> float:
    """0 for a picture without colour, 1 for one with; mean chroma 2 to 6."""
    at = min(1.0, max(0.0, (values["chroma"] - 2.0) / 4.0))
    return at * at * (3 - 2 * at)
