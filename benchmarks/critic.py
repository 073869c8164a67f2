"""What a critic answers in four modes, and what training on twenty critiques does to it: a tiny model, random weights.

    python -m benchmarks.critic [--photos FILE …] [--serve DIR [--url URL]] [--epochs N] [--json FILE]

The model is a Qwen3-VL of two layers whose weights are random: its words mean nothing, and what answers quote of them
is noise. What is shown is that the whole way can be gone: question, constrained decoding, check, comparison with what
was measured, training, adapters. Twenty critiques are learned; how many the model then writes word for word, with the
adapter and without, is counted with and without the schema. With `--serve` the model and its adapter are left in that
folder for a server to load, and with `--url` that server is asked the same.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from benchmarks import random_clip, random_critic
from seemory.advisors.critic.asking import Critic, Deadline, Manner
from seemory.advisors.critic.examples import Example, read_examples
from seemory.advisors.critic.plan import Plan
from seemory.errors import CriticError
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.telemetry import Progress, ignore

MODES = ("similar", "dimensions", "critic", "combined")


def parts(folder: Path) -> Path:
    """Twenty parts of photographs with a critique each, as a file to learn from."""
    folder.mkdir()
    sources = random_clip.photographs(None)
    lines = []
    for n in range(20):
        corner = 96 * (n // len(sources))
        with Image.open(sources[n % len(sources)]) as whole:
            small = ImageOps.fit(whole.convert("RGB"), (288, 288)).crop((corner, 0, corner + 96, 96))
        small.save(folder / f"{n}.jpg", quality=90)
        lines.append(json.dumps({"image": f"{n}.jpg", "critique": random_critic.critique(n)}))
    (folder / "critiques.jsonl").write_text("\n".join(lines))
    return folder / "critiques.jsonl"


def by_heart(critic: Critic, examples: list[Example], adapter: str | None, constrained: bool) -> int:
    """How many of them it writes word for word."""
    answers = [critic.reply(one.question, adapter, Manner(constrained), Deadline(120)) for one in examples]
    return sum(reply.text == one.critique.written() for reply, one in zip(answers, examples, strict=True))


def modes(memory: Memory, photos: list[Path], advisor: str) -> list[dict[str, Any]]:
    """What each mode answers to each photograph, and how long it takes."""
    rows = []
    for photo in photos:
        for mode in MODES:
            start = time.perf_counter()
            row: dict[str, Any] = {"photograph": photo.name, "mode": mode}
            try:
                advice = memory.advise(photo, advisor, mode=mode)  # type: ignore[arg-type]
            except CriticError as error:
                rows.append(row | {"seconds": time.perf_counter() - start, "refused": str(error)})
                continue
            said = advice.as_json()
            row |= {"seconds": time.perf_counter() - start, "sentences": len(advice.words)}
            row |= {"begins": advice.words[0].text, "missing": list(advice.missing)}
            if said["critic"] is not None:
                row |= {name: said["critic"][name] for name in ("attempts", "completion_tokens", "adapter")}
                row["disagreements"] = [one["dimension"] for one in said["critic"]["disagreements"]]
            rows.append(row)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    print(f"\n{'photograph':28} {'mode':11} {'s':>6} {'sentences':>9} {'tries':>5} {'tokens':>6} {'apart':>5}")
    for row in rows:
        apart = len(row.get("disagreements", ()))
        print(
            f"{row['photograph'][:28]:28} {row['mode']:11} {row['seconds']:6.2f} {row.get('sentences', 0):9} "
            f"{row.get('attempts', ''):>5} {row.get('completion_tokens', ''):>6} {apart or '':>5}"
        )
        for line in [row["refused"]] if "refused" in row else row["missing"]:
            print(f"    {line}")


def train(memory: Memory, data: Path, epochs: int) -> dict[str, Any]:
    """The report of learning the twenty by heart."""
    plan = Plan(epochs=epochs, rate=2e-2, batch=4, together=4, hold_out=0, dropout=0.0, keep_every=10**6)
    told = time.monotonic()

    def listen(event: Progress) -> None:
        nonlocal told
        if time.monotonic() - told > 20:
            told = time.monotonic()
            print(f"  {event.stage}: {event.done} of {event.total} {event.unit}", flush=True)

    return memory.critics.train("works", data, plan=plan, listen=listen).as_json()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", nargs="+", type=Path, help="by default three of scikit-image's")
    parser.add_argument("--epochs", type=int, default=240, help="after 120 it knows 18 of the twenty")
    parser.add_argument("--url", help="a server that has the model and the adapter that --serve has left")
    parser.add_argument("--serve", type=Path, help="folder that keeps the data folder and the model")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    photos = arguments.photos or random_clip.photographs(None)[:3]
    with tempfile.TemporaryDirectory() as scratch:
        home = arguments.serve or Path(scratch)
        model = home / "tiny"
        found = measured(home, model, photos, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


def measured(home: Path, model: Path, photos: list[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    found: dict[str, Any] = {}
    served = arguments.url is not None
    if not served:
        random_critic.save(model)
    asked = {"url": arguments.url} if served else {"local": True}
    critic = asked | {"model": "tiny" if served else str(model), "retries": 6, "timeout_s": 300}
    with Memory(read_settings(home=home, critic=critic), model="seemory-mini") as memory:
        data = home / "critiques" / "critiques.jsonl"
        if not served:
            works = home / "works"
            works.mkdir()
            for n, source in enumerate(random_clip.photographs(None)):
                with Image.open(source) as image:
                    image.convert("RGB").save(works / f"work{n}.jpg", quality=90)
            memory.advisors.add("works", works)
            found["modes, random"] = modes(memory, photos, "works")
            print("The critic's weights are random: its words are noise.")
            show(found["modes, random"])
            found["training"] = train(memory, parts(data.parent), arguments.epochs)
            losses = found["training"]["losses"]
            told = ", ".join(f"{losses[n]:.3f}" for n in range(0, len(losses), max(1, len(losses) // 8)))
            print(
                f"\n{arguments.epochs} epochs in {found['training']['seconds']:.0f} s, losses {told} … {losses[-1]:.4f}"
            )
        advisor = memory.advisors.find("works")
        examples = list(read_examples(data, advisor, max_pixels=10**8, listen=ignore).good)
        name = (advisor.adapter or {}).get("name")
        print(f"\nof {len(examples)} critiques word for word, {name}:")
        found["by heart"] = {}
        for adapter in (None, name):
            for constrained in (True, False):
                some = examples if adapter else examples[:3]  # noise is long
                count = by_heart(memory.critics._critic, some, adapter, constrained)  # type: ignore[arg-type]
                told = f"{'with' if adapter else 'without'} the adapter, "
                told += "held to the schema" if constrained else "without the schema"
                found["by heart"][told] = count
                print(f"  {told:48} {count} of {len(some)}", flush=True)
        evaluation = memory.critics.evaluate("works", data=data)
        found["evaluation"] = evaluation.as_json()
        for side, it in (("without", evaluation.without), ("with", evaluation.with_adapter)):
            if it is not None:
                print(f"  {side}: valid {it.valid_share:.0%}, agreement of order {it.mean_agreement}")
        found["modes, trained"] = modes(memory, photos, "works")
        show(found["modes, trained"])
    return found


if __name__ == "__main__":
    main()
