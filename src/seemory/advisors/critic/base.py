"""The local critic's model: read from a folder on disk, as torch runs it, with what turns a question into its input."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from PIL import Image

from seemory.advisors.critic.question import Question
from seemory.errors import ModelError, ModelNotFound, ModelUnavailable, UsageError

PACKAGES: Final = ("torch", "transformers", "peft", "llguidance")

# Architectures that mark a picture's place with one token a patch of merged patches, and the classes that read them.
_KINDS: Final = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")


def lacks() -> str | None:
    """What is not installed that a local critic needs."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    return f"{', '.join(missing)} not installed: `pip install 'seemory[critic]'`" if missing else None


@dataclass(frozen=True, slots=True)
class Base:
    """A vision-language model, and its tokenizer and picture processor."""

    name: str
    model: Any
    tokenizer: Any
    pictures: Any
    four_bit: bool

    @property
    def device(self) -> Any:
        """Where it runs."""
        return self.model.device

    @property
    def vocabulary(self) -> int:
        """How many tokens it has a figure for."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def padding(self) -> int:
        """The token that fills rows up."""
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)

    @property
    def fingerprint(self) -> str:
        """Of its form and some of its weights: another model of the same name has another."""
        some = self.model.get_input_embeddings().weight[:64].float().cpu().numpy().tobytes()
        return hashlib.sha256(self.model.config.to_json_string().encode() + some).hexdigest()

    def inputs(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        """For each question what the model takes: `input_ids` (1, n), the picture's patches, and where they belong."""
        return [self._input(question) for question in questions]

    def _input(self, question: Question) -> dict[str, Any]:
        import torch

        text = self.tokenizer.apply_chat_template(question.messages(), add_generation_prompt=True, tokenize=False)
        mark = self.tokenizer.convert_ids_to_tokens(self.model.config.image_token_id)
        with Image.open(io.BytesIO(question.picture)) as picture:
            seen = self.pictures(images=[picture.convert("RGB")], return_tensors="pt")
        patches = int(seen["image_grid_thw"].prod()) // self.pictures.merge_size**2
        if text.count(mark) != 1:
            raise ModelError(f"the chat template of {self.name} has no place for one picture")
        ids = self.tokenizer(text.replace(mark, mark * patches), add_special_tokens=False, return_tensors="pt")
        found = ids["input_ids"]
        return {
            "input_ids": found,
            "attention_mask": torch.ones_like(found),
            "mm_token_type_ids": (found == self.model.config.image_token_id).int(),
            "pixel_values": seen["pixel_values"],
            "image_grid_thw": seen["image_grid_thw"],
        }


def load_base(name: str, *, four_bit: bool = True) -> Base:
    """The model of that name in Hugging Face's cache on this machine, or in that folder; nothing is ever fetched.

    Weights are read from safetensors alone, no code of the folder is run. On CUDA it is loaded in 4 bits where
    bitsandbytes is installed, unless `four_bit` is False; without CUDA as it was saved.

    Raises:
        UsageError: packages are not installed.
        ModelNotFound: no such folder.
        ModelUnavailable: it is not on disk.
        ModelError: it cannot be loaded, or is of another kind.
    """
    if lacking := lacks():
        raise UsageError(lacking)
    import torch
    from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    if (name.startswith((".", "/", "~")) or Path(name).is_absolute()) and not Path(name).expanduser().is_dir():
        raise ModelNotFound(f"critic.model: there is no folder {name}")
    where = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    safely: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(where, **safely)
        if config.model_type not in _KINDS:
            raise ModelError(f"{name} is of the kind {config.model_type}; a local critic is one of {', '.join(_KINDS)}")
        tokenizer = AutoTokenizer.from_pretrained(where, **safely)
        pictures = AutoImageProcessor.from_pretrained(where, backend="pil", **safely)
        quantised = four_bit and torch.cuda.is_available() and find_spec("bitsandbytes") is not None
        given: dict[str, Any] = {"use_safetensors": True, "dtype": "auto"}
        if quantised:
            from transformers import BitsAndBytesConfig

            given["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
            )
        if torch.cuda.is_available():
            given["device_map"] = {"": 0}
        elif not torch.cuda.is_available() and torch.backends.mps.is_available():
            given["device_map"] = {"": "mps"}
        model = AutoModelForImageTextToText.from_pretrained(where, **given, **safely)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first = str(error).strip().partition("\n")[0]
        if isinstance(error, OSError) and where == name and not Path(where).is_dir():
            raise ModelUnavailable(f"{name} is not on disk: `hf download {name}` fetches it") from error
        raise ModelError(f"the critic's model {name} cannot be loaded: {first}") from error
    model.eval()
    model.requires_grad_(False)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _template(Path(where))
    return Base(name, model, tokenizer, pictures, quantised)


def _template(folder: Path) -> str:
    """The chat template that older folders have in a file of its own."""
    try:
        return str(json.loads((folder / "chat_template.json").read_text(encoding="utf-8"))["chat_template"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"there is no chat template in {folder}") from error
