"""Toy towers written node by node: real ONNX files of every shape an exporter is known to make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "cat", "on", "the", "beach", "red", "house"]
_TYPES = {"int64": TensorProto.INT64, "int32": TensorProto.INT32, "float32": TensorProto.FLOAT}
_TYPES |= {"float16": TensorProto.FLOAT16, "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8}


def picture_tower(
    path: Path,
    dim: int = 4,
    size: int = 8,
    dtype: str = "float32",
    batch: int | None = None,
    output: str = "embedding",
    channels_last: bool = False,
    weights: float = 1.0,
    masked: bool = False,
) -> None:
    """The mean colour, and the colour of one corner, through a matrix."""
    random = np.random.default_rng(1)
    shape = [batch or "batch", size, size, 3] if channels_last else [batch or "batch", 3, size, size]
    nodes = [helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT)]
    planes = "floats"
    if channels_last:
        nodes.append(helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]))
        planes = "planes"
    nodes += [
        helper.make_node("GlobalAveragePool", [planes], ["mean"]),
        helper.make_node("Slice", [planes, "start", "stop", "axes"], ["corner"]),
        helper.make_node("Concat", ["mean", "corner"], ["both"], axis=1),
        helper.make_node("Flatten", ["both"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], [output]),
    ]
    inputs = [helper.make_tensor_value_info("image", _TYPES[dtype], shape)]
    if masked:
        inputs.append(helper.make_tensor_value_info("pixel_mask", TensorProto.INT64, ["batch", size, size]))
    given = {
        "matrix": (random.standard_normal((6, dim)) * weights).astype(np.float32),
        "start": np.array([0, 0]),
        "stop": np.array([1, 1]),
        "axes": np.array([2, 3]),
    }
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch or "batch", dim])]
    _save(path, nodes, inputs, outputs, given)


def text_tower(
    path: Path,
    dim: int = 4,
    dtype: str = "int64",
    batch: int | None = None,
    length: int | None = None,
    extra: tuple[str, ...] = (),
    output: str = "embedding",
    pooled: bool = True,
    name: str = "text",
    weights: float = 1.0,
    strange: str | None = None,
) -> None:
    """A vector a token, padding's being zero; summed when `pooled`, else one a position."""
    table = (np.random.default_rng(2).standard_normal((len(WORDS), dim)) * weights).astype(np.float32)
    table[0] = 0
    sizes = [batch or "batch", length or "length"]
    nodes = [
        helper.make_node("Cast", [name], ["ids"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["states"]),
    ]
    states = "states"
    inputs = [helper.make_tensor_value_info(name, _TYPES[dtype], sizes)]
    for other in extra:
        kind = "bool" if other == "bool_mask" else dtype
        inputs.append(helper.make_tensor_value_info(other, _TYPES[kind], sizes))
        # Multiplied in or added, so that a wrong feed shows.
        nodes.append(helper.make_node("Cast", [other], [f"{other}_f"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Unsqueeze", [f"{other}_f", "two"], [f"{other}_u"]))
        operation = "Mul" if "mask" in other else "Add"
        nodes.append(helper.make_node(operation, [states, f"{other}_u"], [f"{other}_s"]))
        states = f"{other}_s"
    if strange:
        inputs.append(helper.make_tensor_value_info(strange, TensorProto.FLOAT, ["batch", 7]))
    if pooled:
        nodes.append(helper.make_node("ReduceSum", [states, "one"], [output], keepdims=0))
    else:
        nodes.append(helper.make_node("Identity", [states], [output]))
    shape = [sizes[0], dim] if pooled else [*sizes, dim]
    given = {"table": table, "one": np.array([1]), "two": np.array([2])}
    _save(path, nodes, inputs, [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)], given)


def tokenizer(path: Path, special: bool = True) -> None:
    """Words between [CLS] and [SEP]; without `special`, words alone."""
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(str(path))


def folder(path: Path, dim: int = 4, size: int = 8, context: int = 16, picture: bool = True, text: bool = True) -> Path:
    """A whole folder in Immich's layout."""
    path.mkdir(parents=True, exist_ok=True)
    config = {"embed_dim": dim, "text_cfg": {"context_length": context, "pool_type": "mean"}}
    (path / "config.json").write_text(json.dumps(config))
    if picture:
        picture_tower(path / "visual/model.onnx", dim, size)
        rule = {"size": [size, size], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
        (path / "visual/preprocess_cfg.json").write_text(json.dumps(rule | {"resize_mode": "shortest"}))
    if text:
        text_tower(path / "textual/model.onnx", dim)
        tokenizer(path / "textual/tokenizer.json")
        (path / "textual/tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    return path


def sentence_folder(path: Path, dim: int = 4, context: int = 6, mode: str = "mean_tokens") -> Path:
    """A whole folder in the sentence-transformers layout, all positions given and masks taken."""
    (path / "1_Pooling").mkdir(parents=True)
    names = ("cls_token", "mean_tokens", "max_tokens", "lasttoken")
    pooling = {f"pooling_mode_{name}": name == mode for name in names}
    (path / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": dim, **pooling}))
    (path / "modules.json").write_text("[]")
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": context, "do_lower_case": False}))
    (path / "tokenizer_config.json").write_text(json.dumps({"pad_token": {"content": "[PAD]"}}))
    tokenizer(path / "tokenizer.json")
    text_tower(
        path / "onnx/model.onnx",
        dim,
        extra=("attention_mask", "token_type_ids"),
        output="last_hidden_state",
        pooled=False,
        name="input_ids",
    )
    return path


def _save(path: Path, nodes: list, inputs: list, outputs: list, given: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = [numpy_helper.from_array(value, name) for name, value in given.items()]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
