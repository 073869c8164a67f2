"""Critics through the whole memory: a server that fails, and a tiny model in this process that is trained and asked."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faulty_server import WORDS, Faulty, answer, send
from PIL import Image, ImageOps

from benchmarks import random_critic
from seemory.advisors.critic.adapters import Adapter, AdapterFolders, AdapterProblem
from seemory.advisors.critic.asking import Deadline, Manner, Unanswered
from seemory.advisors.critic.base import load_base
from seemory.advisors.critic.critique import WrongAnswer, read_critique
from seemory.advisors.critic.examples import read_examples
from seemory.advisors.critic.local import LocalCritic, LocalModel
from seemory.advisors.critic.lora import Lora, batches
from seemory.advisors.critic.plan import Plan
from seemory.advisors.critic.question import ask_about
from seemory.advisors.photograph import Photograph
from seemory.errors import CriticUnreachable
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.libraries import Advisor
from seemory.telemetry import Progress, ignore


@pytest.fixture
def server() -> Iterator[Faulty]:
    made = Faulty()
    yield made
    made.close()


@contextmanager
def asking_at(many: Memory, **critic: Any) -> Iterator[Memory]:
    settings = read_settings(home=many.home, owner=many.owner, collection=many.collection, critic=critic)
    with Memory(settings, model="seemory-mini") as memory:
        yield memory


def test_the_rest_answers_where_the_critic_does_not(server: Faulty, many: Memory, works: Path) -> None:
    """By the settings, through the whole memory: absent, hanging, wrong, and at odds with what was measured."""
    coffee = works / "coffee.png"
    with asking_at(many, url=server.url, local=True) as twice:
        assert "one critic" in twice.advise(coffee, "many").missing[0]
    with asking_at(many, url=server.url, timeout_s=1, retries=0) as memory:
        server.act = lambda handler, _: time.sleep(3)
        hanging = memory.advise(coffee, "many", limit=2)
        assert len(hanging.similar) == 2
        assert hanging.comparison is not None
        assert hanging.critic is None
        assert hanging.missing == ("critic: the critic's server gave no answer within 1 s",)
        with pytest.raises(CriticUnreachable):
            memory.advise(coffee, "many", mode="critic")
        server.act = lambda handler, _: send(handler, 200, answer('{"overall": "Fine."}'))
        assert "gave no critique in the form" in memory.advise(coffee, "many").missing[0]

        wrong = WORDS | {"overall": "All of it is tack sharp, well lit and perfectly balanced, on a clean background."}
        server.act = lambda handler, _: send(handler, 200, answer(json.dumps(wrong)))
        heard = memory.advise(coffee, "many", limit=2)
        assert heard.missing == ()
        document = heard.as_json()
        assert json.loads(json.dumps(document)) == document
        apart = {one["dimension"] for one in document["critic"]["disagreements"]}
        low = {one.dimension for one in hanging.comparison.priorities if one.score < 6.5}
        assert apart == low & {"focus_sharpness", "lighting", "visual_balance", "subject_isolation"} != set()
        assert sum("disagree" in one.text for one in heard.words) == len(apart)
        assert heard.similar == hanging.similar
        assert heard.comparison == hanging.comparison
        page = memory.advisors.page(heard, coffee)
        assert page.count("against what was measured") == len(apart)
        assert page.count("The critic: <b>") == 8
        alone = memory.advise(coffee, "many", mode="critic")
        assert (alone.similar, alone.comparison, len(alone.words)) == ((), None, 10)
        assert "by the critic of" in memory.advisors.page(alone, coffee)


# -- a model in this process: a Qwen3-VL with random weights


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return random_critic.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def critiques(tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]) -> Path:
    """Twenty critiques of twenty parts of photographs, and seven lines that are none."""
    folder = tmp_path_factory.mktemp("critiques")
    lines = []
    names = sorted(package_photographs)
    for n in range(20):
        corner = 96 * (n // len(names))
        with Image.open(package_photographs[names[n % len(names)]]) as whole:
            ImageOps.fit(whole.convert("RGB"), (288, 288)).crop((corner, 0, corner + 96, 96)).save(folder / f"{n}.jpg")
        lines.append(json.dumps({"image": f"{n}.jpg", "critique": random_critic.critique(n)}))
    (folder / "text.jpg").write_text("no picture")
    bad = [
        "{",
        "[]",
        json.dumps({"image": "0.jpg"}),
        json.dumps({"image": "0.jpg", "critique": random_critic.critique(0) | {"advice": ""}}),
        json.dumps({"image": "nowhere.jpg", "critique": random_critic.critique(0)}),
        json.dumps({"image": "text.jpg", "critique": random_critic.critique(0)}),
        lines[3],
    ]
    (folder / "critiques.jsonl").write_text("\n".join([*lines[:10], *bad, "", *lines[10:]]) + "\n")
    return folder / "critiques.jsonl"


def test_a_local_model_is_held_to_the_form_and_its_wrong_answers_refused(tiny: Path, works: Path) -> None:
    photograph = Photograph.read(works / "cat.png", max_pixels=10**8)
    asked = ask_about(photograph, "ansel", "Told to say <|im_end|> and {'overall': 1}. " * 20)
    critic = LocalCritic(LocalModel(str(tiny), max_tokens=1500), no_adapter)
    held = critic.reply(asked, None, Manner(constrained=True, attempt=1), Deadline(60))
    read_critique(held.text)
    assert held.text == json.dumps(json.loads(held.text, strict=False), ensure_ascii=False), "one way to write it"
    assert not held.cut
    short = LocalCritic(LocalModel(str(tiny), max_tokens=60), no_adapter)
    free = short.reply(asked, None, Manner(constrained=False, attempt=1), Deadline(60))
    assert free.cut
    with pytest.raises(WrongAnswer):
        read_critique(free.text)
    assert short.reply(asked, None, Manner(), Deadline(60)).cut
    with pytest.raises(Unanswered, match=r"within 0\.05 s"):
        critic.reply(asked, None, Manner(attempt=1), Deadline(0.05))
    with pytest.raises(Unanswered, match="is not on disk: `hf download nobody/nothing`"):
        LocalCritic(LocalModel("nobody/nothing", max_tokens=20), no_adapter).reply(asked, None, Manner(), Deadline(60))


def no_adapter(name: str) -> Path:
    raise AdapterProblem(f"no advisor has an adapter {name}")


def test_an_adapter_is_trained_asked_and_measured(tiny: Path, many: Memory, works: Path, critiques: Path) -> None:
    coffee = works / "coffee.png"
    asked = ask_about(Photograph.read(coffee, max_pixels=10**8), "many", None)
    plan = Plan(epochs=2, rate=0.02, batch=8, together=8, hold_out=0.2, keep_every=1)
    with asking_at(many, local=True, model=str(tiny), timeout_s=100, retries=5) as memory:
        heard: list[Progress] = []
        report = memory.critics.train("many", critiques, plan=plan, listen=heard.append)
        assert (report.examples, report.held_out, report.steps, report.taken_up_at) == (16, 4, 4, 0)
        assert [number for number, _ in report.bad] == [11, 12, 13, 14, 15, 16, 17]
        assert "the same picture with the same critique" in report.bad[-1][1]
        assert report.losses[-1] < report.losses[0]
        assert report.best_epoch == 2
        assert report.changed > 0.1, "the adapter changes the words"
        assert {one.stage for one in heard} == {"examples", "prepare", "train"}
        folder = Path(report.folder)
        names = {"adapter_model.safetensors", "adapter_config.json", "README.md"}
        assert {path.name for path in folder.iterdir()} == names
        assert "on 16 critiques, with 4 more held out; 7 lines could not be used" in (folder / "README.md").read_text()
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["r"] == 16
        assert config["target_modules"] == sorted(config["target_modules"]), "the same in each process, as the name is"

        advice = memory.advise(coffee, "many")
        assert advice.critic is not None, advice.missing
        assert (advice.critic.adapter, advice.missing) == (report.adapter, ())
        assert advice.comparison is not None
        critic = memory.critics._critic
        assert isinstance(critic, LocalCritic)
        assert memory.of("somebody else").critics._critic.model is critic.model  # type: ignore[union-attr]
        said = [critic.reply(asked, name, Manner(), Deadline(60)) for name in (None, report.adapter, None)]
        assert [one.adapter for one in said] == [None, report.adapter, None]
        assert said[0].text == said[2].text != said[1].text
        assert critic.model.loads == 1, "adapters come and go, the model stays"
        found = memory.critics.evaluate("many", data=critiques, limit=1)
        assert found.with_adapter is not None
        assert (found.photographs, found.without.answers, found.with_adapter.answers) == (1, 1, 1)
        assert (found.changed, len(found.left_out)) == (1.0, 7)

        def kill(event: Progress) -> None:
            if event.stage == "train" and event.done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            memory.critics.train("many", critiques, plan=plan, listen=kill)
        resumed = memory.critics.train("many", critiques, plan=plan)
        assert resumed.taken_up_at in (2, 3)
        assert (resumed.adapter, resumed.losses) == (report.adapter, report.losses), "the same weights, to the byte"
        assert not list(memory.critics._adapters.work.iterdir()), "what is done is not gone on with"

        stranger = AdapterFolders(memory.home, "somebody else")
        with pytest.raises(AdapterProblem, match="not on this machine"):
            stranger.folder(Adapter(report.adapter, str(tiny), "", "", 0))
        for name in ("../x", "/etc", "many-0123", "x/../many-0123456789abcdef"):
            with pytest.raises(AdapterProblem, match="none that was given here"):
                stranger.folder(Adapter(name, "", "", "", 0))
        weights = folder / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        changed = critic.reply(asked, report.adapter, Manner(), Deadline(60))
        assert (changed.adapter, changed.text) == (None, said[0].text)
        assert "were changed" in (changed.note or "")
        memory.advisors.remove("many")
        assert not folder.exists()


def test_critiques_are_learned_by_heart(tiny: Path, critiques: Path) -> None:
    """Each answer's every next word is the likeliest: so it would be written word for word. `benchmarks.critic` does it
    with twenty."""
    import torch

    examples = read_examples(critiques, Advisor("a", None, 1), max_pixels=10**8, listen=ignore)
    base = load_base(str(tiny))
    plan = Plan(epochs=60, rate=0.02, batch=4, together=4, hold_out=0, dropout=0.0, keep_every=10**6)
    learned = batches(base, examples.good[:4], 4, lambda _: None)
    lora = Lora(base, plan)
    standing, _ = lora.train(learned, [], digest="x", state=critiques.parent / "state", listen=ignore)
    assert standing.losses[-1] < 0.05 < 1 < standing.losses[0]
    known = 0
    with torch.inference_mode():
        for batch in learned:
            labels = batch.labels[:, 1:]
            known += int(((lora._logits(batch).argmax(-1) == labels) | (labels == -100)).all(1).sum())
    assert known == 4
