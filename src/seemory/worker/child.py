"""The model's process, seen from inside: it loads one image tower, then turns paths into vectors, one after the other.

It is a process because only a process can be ended while it hangs in native code. It ends by itself when whoever
started it is gone, even while a picture is being embedded.
"""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import time
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
from PIL import Image

from seemory.child_process import own_streams
from seemory.errors import MediaError, ModelError, ModelNotFound
from seemory.framing import Frame, packed, read_frame
from seemory.media.image import load_picture
from seemory.models.encoder import Encoder
from seemory.models.loading import load_encoder
from seemory.types import error_text
from seemory.worker.environment import Asked

_GRACE_S = 5.0
"""So much later than its time limit a picture ends this process, if nobody else does."""


def main() -> None:
    """Serve the process that started this one, until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on a terminal reaches the whole group; the worker decides
    asked_of, told_to = own_streams()
    answers = os.fdopen(told_to, "wb")
    requests = io.FileIO(asked_of, "rb", closefd=False)
    first = read_frame(requests)
    if first is None:
        return
    queue: SimpleQueue[Frame] = SimpleQueue()
    Thread(target=_listen, args=(requests, queue), daemon=True).start()

    def answer(document: dict[str, Any], payload: bytes = b"") -> None:
        answers.write(packed(document, payload))
        answers.flush()

    try:
        tower = _Tower(Asked(**first[0]))
    except Exception as error:  # whatever keeps it from loading is an answer
        answer({"failed": error_text(error)})
        return
    answer({"ready": tower.identity()})
    while True:
        document, payload = queue.get()
        # In C, without the interpreter's lock: so it works while native code holds that, and after the worker's death.
        faulthandler.dump_traceback_later(document["limit_s"] + _GRACE_S, exit=True)
        answer(*tower.embed(document["job"], os.fsdecode(payload)))
        faulthandler.cancel_dump_traceback_later()


def _listen(requests: io.FileIO, queue: SimpleQueue[Frame]) -> None:
    try:
        while (frame := read_frame(requests)) is not None:
            queue.put(frame)
    finally:
        os._exit(0)  # the worker is gone; the main thread may be anywhere in native code


class _Tower:
    """The loaded image tower."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._encoder = _encoder(asked)
        _ = self._encoder.image_size  # an encoder of words alone is refused now
        self._encoder.load(texts=False)

    def identity(self) -> dict[str, Any]:
        """What records say of the model."""
        record = self._encoder.record()
        return {
            "model_name": self._asked.model if self._asked.pretrained else record.model_name,
            "pretrained": self._asked.pretrained or record.pretrained,
            "embed_dim": record.embed_dim,
            "device": record.device,
            "fingerprint": self._encoder.fingerprint,
        }

    def embed(self, job: int, path: str) -> tuple[dict[str, Any], bytes]:
        """The answer to one path: milliseconds of the forward pass and the vector, or what is wrong."""
        try:
            image = self._picture(path)
            pixels = self._encoder.preprocess(image)
            start = time.perf_counter()
            vector = self._encoder.embed_pixels(pixels[None], normalise=self._asked.normalised)[0]
            milliseconds = round((time.perf_counter() - start) * 1000, 2)
            return {"job": job, "milliseconds": milliseconds}, np.ascontiguousarray(vector, np.float32).tobytes()
        except MediaError as error:
            missing = isinstance(error.__cause__, FileNotFoundError)
            return {"job": job, "error": error_text(error), "missing": missing}, b""
        except Exception as error:  # the pipeline goes on, whatever it was
            return {"job": job, "error": error_text(error)}, b""

    def _picture(self, path: str) -> Image.Image:
        asked = self._asked
        image = load_picture(Path(path), target=self._encoder.image_size, max_pixels=asked.max_pixels).image
        if asked.longest_side is not None and max(image.size) > asked.longest_side:
            image.thumbnail((asked.longest_side, asked.longest_side), Image.Resampling.BICUBIC)
        return image


def _encoder(asked: Asked) -> Encoder:
    home = Path(asked.home)
    runtime = "onnxruntime" if asked.device == "cpu" else "cuda"
    if asked.device != "cpu":
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            if asked.device == "cuda":
                raise ModelError(
                    "CLIP_DEVICE: this ONNX Runtime knows no CUDA; put onnxruntime-gpu in its place, or say cpu"
                )
            runtime = "onnxruntime"
    try:
        return load_encoder(name_of(asked), home=home, threads=asked.threads, offline=asked.offline, runtime=runtime)
    except ModelNotFound as error:
        raise ModelNotFound(f"CLIP_MODEL_NAME, CLIP_PRETRAINED: {error}") from error


def name_of(asked: Asked) -> str:
    """The catalogue's name, or the folder, for a model's name and its weights' tag as open_clip has them."""
    if not asked.pretrained:
        return asked.model
    if Path(asked.pretrained).expanduser().is_dir():  # as open_clip takes a file of weights in the tag's place
        return asked.pretrained
    # OpenAI's weights are QuickGELU's under either name.
    model = asked.model.removesuffix("-quickgelu") if asked.pretrained == "openai" else asked.model
    return f"{model}/{asked.pretrained}"
