"""How far beyond its time limit an answer comes while the model hangs: a worker's embedder, and a thread pool's `with`.

    python benchmarks/time_limit.py [--json FILE] [--calls N] [--limit SECONDS]

The model is the bundled encoder with a loop in its picture tower that hangs on white pictures: for good, where the
embedder is asked; for `--hang` seconds (a number of rounds that is measured first), where the thread pool is, since
that one waits for the end. The pool is used as it often is:

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(encode, picture).result(timeout=limit)

The third line is the same pool without the `with`, left behind: it returns in time, and its thread goes on. "still
busy" counts what hangs after the last call; with a model that hangs for good it would stay so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from seemory import VisualEmbedder, models
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder


def hanging_model(folder: Path, rounds: int) -> Path:
    """The bundled encoder, which counts to `rounds` before it answers for a white picture."""
    shutil.copytree(Path(models.__file__).parent / "bundled" / "seemory-mini", folder)
    path = folder / "visual" / "model.onnx"
    model = onnx.load(str(path))
    graph = model.graph
    output = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["inner" if name == output else name for name in node.output]
        node.input[:] = ["inner" if name == output else name for name in node.input]
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Add", ["sum", "step"], ["summed"])],
        "counting",
        [scalar("n", TensorProto.INT64, []), scalar("go", TensorProto.BOOL, []), scalar("sum", TensorProto.FLOAT, [])],
        [scalar("goes", TensorProto.BOOL, []), scalar("summed", TensorProto.FLOAT, [])],
    )
    given = {"step": np.float32(1), "white": np.float32(0.99), "far": np.int64(rounds), "none": np.int64(0)}
    given |= {"yes": np.bool_(True), "zero": np.float32(0)}
    graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in given.items())
    graph.node.extend(
        [
            helper.make_node("ReduceMin", [graph.input[0].name], ["darkest"], keepdims=0),
            helper.make_node("Greater", ["darkest", "white"], ["is_white"]),
            helper.make_node("Where", ["is_white", "far", "none"], ["to"]),
            helper.make_node("Loop", ["to", "yes", "zero"], ["counted"], body=body),
            helper.make_node("Mul", ["counted", "zero"], ["nothing"]),
            helper.make_node("Add", ["inner", "nothing"], [output]),
        ]
    )
    onnx.save(model, str(path))
    return folder


def rounds_of(seconds: float, folder: Path, pixels: np.ndarray) -> int:
    """How many rounds the loop goes in that time here."""
    tried = 200_000
    encoder = Encoder(read_folder(hanging_model(folder, tried)))
    encoder.load(texts=False)
    start = time.perf_counter()
    encoder.embed_pixels(pixels)
    return int(tried * seconds / (time.perf_counter() - start))


def overshoots(call: Callable[[], object], limit: float, calls: int, before: Callable[[], object]) -> list[float]:
    """Milliseconds from the limit to the answer, for each call."""
    found = []
    for _ in range(calls):
        before()
        start = time.perf_counter()
        call()
        found.append((time.perf_counter() - start - limit) * 1000)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--limit", type=float, default=0.2)
    parser.add_argument("--hang", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        white = place / "white.png"
        Image.new("RGB", (320, 240), "white").save(white)
        pixels = np.full((1, 160, 160, 3), 255, np.uint8)

        endless = hanging_model(place / "endless", 2**62)
        made = VisualEmbedder({"CLIP_MODEL_NAME": str(endless), "CLIP_CACHE_DIR": str(place / "home")})
        assert made.is_available(), made.embed(white)[1].error
        ours = overshoots(
            lambda: made.embed(white, timeout_s=options.limit), options.limit, options.calls, made.is_available
        )
        assert made.figures().timeouts == options.calls
        time.sleep(0.5)
        serving = made.model_information()["process"]
        ours_busy = sum(child.pid != serving and child.is_running() for child in psutil.Process().children())
        start = time.perf_counter()
        made.is_available()
        reload_s = time.perf_counter() - start
        VisualEmbedder.reset()

        rounds = rounds_of(options.hang, place / "measured", pixels)
        encoder = Encoder(read_folder(hanging_model(place / "bounded", rounds)))
        encoder.load(texts=False)

        def pool_in_with() -> None:
            with suppress(TimeoutError), ThreadPoolExecutor(1) as pool:
                pool.submit(encoder.embed_pixels, pixels).result(timeout=options.limit)

        left = []

        def pool_left_behind() -> None:
            pool = ThreadPoolExecutor(1)
            left.append(pool.submit(encoder.embed_pixels, pixels))
            with suppress(TimeoutError):
                left[-1].result(timeout=options.limit)
            pool.shutdown(wait=False)

        naive = overshoots(pool_in_with, options.limit, options.calls, lambda: None)
        loose = overshoots(pool_left_behind, options.limit, options.calls, lambda: None)
        loose_busy = sum(not future.done() for future in left)

        rows = [("VisualEmbedder", ours, ours_busy), ("with ThreadPoolExecutor", naive, 0)]
        rows.append(("ThreadPoolExecutor, left behind", loose, loose_busy))
        print(f"{options.calls} calls, limit {options.limit:g} s, milliseconds beyond it")
        print(f"{'':34} {'p50':>9} {'p99':>9} {'max':>9} {'still busy':>11}")
        for name, times, busy in rows:
            p50, p99 = np.percentile(times, [50, 99])
            print(f"{name:34} {p50:9.1f} {p99:9.1f} {max(times):9.1f} {busy:11}")
        print(f"a replacement was loaded {0.5 + reload_s:.2f} s after the last limit, at the latest")
        if options.json:
            document = {name: {"overshoot_ms": times, "still_busy": busy} for name, times, busy in rows}
            options.json.write_text(json.dumps(document | {"limit_s": options.limit}, indent=1))


if __name__ == "__main__":
    main()
