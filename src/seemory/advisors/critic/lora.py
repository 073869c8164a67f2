"""Low-rank adapters of the critic's model, trained on critiques: the answer's tokens count, the question's do not.

Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021. The layers are PEFT's; the loop is here
because a run that was killed has to come to the same weights as one that was not, whatever moment it was killed at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seemory.advisors.critic.adapters import CONFIG
from seemory.advisors.critic.base import Base
from seemory.advisors.critic.examples import Example
from seemory.advisors.critic.plan import TARGETS, Plan
from seemory.advisors.critic.written_down import Standing, read_down, write_down
from seemory.telemetry import Progress, ProgressListener

_NOT_LEARNED: Final = -100
"""Label of a token that does not count."""

_WARM_UP: Final = 0.03
"""Share of the steps in which the rate rises; it falls to 0 in a straight line after them."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions and answers as the model takes them, `(b, n)`, padded at the end."""

    inputs: dict[str, Any]
    labels: Any
    tokens: int
    """How many count."""


class Lora:
    """One adapter in training."""

    def __init__(self, base: Base, plan: Plan) -> None:
        """The adapter is made, and changes nothing yet."""
        import torch
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

        self._base = base
        self._plan = plan
        model = base.model
        if base.four_bit:
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=True)
        elif base.device.type == "cuda":
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
        torch.manual_seed(plan.seed)
        self.model = get_peft_model(
            model,
            LoraConfig(
                r=plan.rank,
                lora_alpha=plan.alpha,
                lora_dropout=plan.dropout,
                target_modules=_targets(model),
                bias="none",
                task_type="CAUSAL_LM",
            ),
        )
        self._learned = {name: one for name, one in self.model.named_parameters() if one.requires_grad}
        self._optimizer = torch.optim.AdamW(self._learned.values(), lr=plan.rate, weight_decay=0.0)

    @property
    def parameters(self) -> int:
        """How many figures are learned."""
        return sum(one.numel() for one in self._learned.values())

    def train(
        self,
        learned: Sequence[Batch],
        held_out: Sequence[Batch],
        *,
        digest: str,
        state: Path,
        listen: ProgressListener,
    ) -> tuple[Standing, int]:
        """(how it went, the step it was taken up at); the model has the weights of the best epoch.

        Args:
            learned: passes of at most `together` critiques each; a step is `batch` critiques.
            held_out: passes that only the loss is looked at of.
            digest: of plan, data and model.
            state: file that a killed run is taken up from.
            listen: called with the progress.
        """
        import torch

        per_step = max(1, self._plan.batch // self._plan.together)
        steps = -(-len(learned) // per_step)
        total = steps * self._plan.epochs
        standing = self._take_up(state, digest) or Standing(digest)
        begun_at = standing.step
        listen(Progress("train", standing.step, total, "steps"))
        while standing.step < total and not self._enough(standing, steps):
            epoch, place = divmod(standing.step, steps)
            with torch.random.fork_rng():
                # The order of an epoch and the dropout of a step hang on their numbers alone, so that nothing of a
                # generator's state has to be carried over a kill.
                torch.manual_seed(self._plan.seed * 1_000_003 + epoch)
                order = torch.randperm(len(learned)).tolist()
                torch.manual_seed(self._plan.seed * 1_000_003 + 500_000 + standing.step)
                now = [learned[n] for n in order[place * per_step : (place + 1) * per_step]]
                standing.running.append(self._step(now, self._rate(standing.step, total)))
            standing.step += 1
            if standing.step % steps == 0:
                standing.losses.append(sum(standing.running) / len(standing.running))
                standing.running = []
                if held_out:
                    standing.held_out.append(self.loss(held_out))
                    if standing.since_best == 0:
                        self._best = self._copy()
            if standing.step % self._plan.keep_every == 0 or standing.step % steps == 0:
                self._put_down(state, standing)
            listen(Progress("train", standing.step, total, "steps"))
        if held_out and self._best:
            self._set(self._best)
        return standing, begun_at

    def loss(self, batches: Sequence[Batch]) -> float:
        """Mean negative logarithm of the likelihood of the answers' tokens."""
        import torch

        self.model.eval()
        with torch.inference_mode():
            total = sum(float(self._pass(batch)) for batch in batches)
        return total / sum(batch.tokens for batch in batches)

    def changed(self, batches: Sequence[Batch]) -> float:
        """The share of the answers' tokens for which the adapter has another likeliest word than the model has."""
        import torch

        self.model.eval()
        differ = count = 0
        with torch.inference_mode():
            for batch in batches:
                counted = batch.labels[:, 1:] != _NOT_LEARNED
                with_it = self._logits(batch).argmax(-1)
                with self.model.disable_adapter():
                    without = self._logits(batch).argmax(-1)
                differ += int(((with_it != without).cpu() & counted).sum())
                count += int(counted.sum())
        return differ / max(1, count)

    def save(self, folder: Path) -> None:
        """Write the adapter's two files."""
        self.model.save_pretrained(str(folder), safe_serialization=True)
        # PEFT writes the names of the layers in the order of a set, which is another in each process.
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config["target_modules"] = sorted(config["target_modules"])
        (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")

    def _step(self, batches: Sequence[Batch], rate: float) -> float:
        """The loss of one step, over all its answers' tokens alike."""
        import torch

        self.model.train()
        tokens = sum(batch.tokens for batch in batches)
        total = 0.0
        for batch in batches:
            loss = self._pass(batch) / tokens
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self._learned.values(), 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def _pass(self, batch: Batch) -> Any:
        """Sum over the answers' tokens."""
        import torch

        labels = batch.labels[:, 1:].to(self._base.device)
        logits = self._logits(batch).float()
        return torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=_NOT_LEARNED, reduction="sum"
        )

    def _logits(self, batch: Batch) -> Any:
        """`(b, n - 1, vocabulary)`, each of the token after it."""
        import torch

        device = self._base.device
        inputs = {name: value.to(device) for name, value in batch.inputs.items()}
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            return self.model(**inputs, use_cache=False).logits[:, :-1]

    def _rate(self, step: int, total: int) -> float:
        warm = max(1, round(_WARM_UP * total))
        return self._plan.rate * min((step + 1) / warm, (total - step) / max(1, total - warm + 1), 1.0)

    def _enough(self, standing: Standing, steps: int) -> bool:
        """Whether more epochs than patience allows went by without a better loss."""
        return standing.step % steps == 0 and standing.since_best > self._plan.patience

    _best: dict[str, Any] | None = None

    def _copy(self) -> dict[str, Any]:
        return {name: one.detach().cpu().clone() for name, one in self._learned.items()}

    def _set(self, values: dict[str, Any]) -> None:
        import torch

        with torch.no_grad():
            for name, one in self._learned.items():
                one.copy_(values[name])

    def _put_down(self, state: Path, standing: Standing) -> None:
        tensors = {f"now.{name}": value for name, value in self._copy().items()}
        tensors |= {f"best.{name}": value for name, value in (self._best or {}).items()}
        for number, one in self._optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value.cpu().contiguous() for name, value in one.items()}
        write_down(state, standing, tensors)

    def _take_up(self, state: Path, digest: str) -> Standing | None:
        found = read_down(state, digest)
        if found is None:
            return None
        standing, tensors = found
        if any(tensors[f"now.{name}"].shape != one.shape for name, one in self._learned.items()):
            return None
        self._set({name: tensors[f"now.{name}"] for name in self._learned})
        if any(name.startswith("best.") for name in tensors):
            self._best = {name: tensors[f"best.{name}"] for name in self._learned}
        adam = self._optimizer.state_dict()
        adam["state"] = {
            number: {name: tensors[f"adam.{number}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
            for number in range(len(self._learned))
        }
        self._optimizer.load_state_dict(adam)
        return standing


def _targets(model: Any) -> list[str]:
    """The names of the language model's layers that are adapted."""
    return [
        name
        for name, _ in model.named_modules()
        if name.rpartition(".")[2] in TARGETS and "visual" not in name.split(".")
    ]


def batches(base: Base, examples: Sequence[Example], together: int, listen: Callable[[int], None]) -> list[Batch]:
    """Passes of so many examples, each with its question's tokens masked out of the labels."""
    made = []
    for begin in range(0, len(examples), together):
        made.append(_batch(base, examples[begin : begin + together]))
        listen(min(begin + together, len(examples)))
    return made


def _batch(base: Base, examples: Sequence[Example]) -> Batch:
    import torch

    asked = base.inputs([one.question for one in examples])
    rows = []
    for question, example in zip(asked, examples, strict=True):
        answer = base.tokenizer(example.critique.written(), add_special_tokens=False)["input_ids"]
        rows.append((question, torch.tensor([*answer, base.tokenizer.eos_token_id])))
    width = max(question["input_ids"].shape[1] + len(answer) for question, answer in rows)

    def filled(value: int) -> Any:
        return torch.full((len(rows), width), value, dtype=torch.long)

    ids, mask, kinds, labels = filled(base.padding), filled(0), filled(0), filled(_NOT_LEARNED)
    for n, (question, answer) in enumerate(rows):
        length = question["input_ids"].shape[1]
        end = length + len(answer)
        ids[n, :length], ids[n, length:end] = question["input_ids"][0], answer
        mask[n, :end] = 1
        kinds[n, :length] = question["mm_token_type_ids"][0]
        labels[n, length:end] = answer
    inputs = {
        "input_ids": ids,
        "attention_mask": mask,
        "mm_token_type_ids": kinds.int(),
        "pixel_values": torch.cat([question["pixel_values"] for question, _ in rows]),
        "image_grid_thw": torch.cat([question["image_grid_thw"] for question, _ in rows]),
    }
    return Batch(inputs, labels, int((labels[:, 1:] != _NOT_LEARNED).sum()))
