"""The network of all-MiniLM-L6-v2 as an ONNX graph whose weights stay in the model's own safetensors file.

The graph itself is some 20 kB. The runtime maps the weights from the file, so processes share their pages, and
nothing is converted or copied on disk.

Sources: Devlin et al. 2019 (BERT), Reimers and Gurevych 2019 (mean pooling), the safetensors and ONNX formats.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, HEADS, WIDTH = 6, 12, 384
EPSILON = 1e-12
OPSET, IR_VERSION = 20, 10


def build(weights: Path) -> bytes:
    """The graph `(input_ids, attention_mask) -> embedding` over `weights`, as an ONNX model.

    Inputs are int64 [texts, tokens]; the output is float32 [texts, 384], rows of unit length. Raises ValueError or
    KeyError when `weights` is no safetensors file of this model.
    """
    graph = _Graph(weights)
    _pool(graph, _encode(graph, *_embed(graph)))
    return graph.finish()


class _Graph:
    """Nodes and weights as they are added; every method answers the name of the value that it made."""

    def __init__(self, weights: Path) -> None:
        self._file = weights.name
        self._start, self._header = _header(weights)
        self._nodes: list[onnx.NodeProto] = []
        self._values: dict[str, onnx.TensorProto] = {}

    def add(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, value: float | list[int]) -> str:
        name = f"constant_{value}"
        kind = np.float32 if isinstance(value, float) else np.int64
        self._values.setdefault(name, numpy_helper.from_array(np.array(value, kind), name))
        return name

    def weight(self, name: str) -> str:
        entry = self._header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"{name} is {entry['dtype']}, not F32")
        first, end = entry["data_offsets"]
        tensor = TensorProto(
            name=name, data_type=TensorProto.FLOAT, dims=entry["shape"], data_location=TensorProto.EXTERNAL
        )
        for key, value in (("location", self._file), ("offset", self._start + first), ("length", end - first)):
            tensor.external_data.add(key=key, value=str(value))
        self._values[name] = tensor
        return name

    def linear(self, x: str, layer: str) -> str:
        return self.add("Gemm", x, self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias"), transB=1)

    def normalize(self, x: str, layer: str) -> str:
        scale, bias = self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)

    def finish(self) -> bytes:
        tokens = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        rows = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["texts", WIDTH])]
        graph = helper.make_graph(self._nodes, "all-MiniLM-L6-v2", tokens, rows, list(self._values.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return model.SerializeToString()


def _header(weights: Path) -> tuple[int, dict[str, Any]]:
    """Where the data of a safetensors file starts, and what lies where in it."""
    with weights.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return 8 + size, json.loads(file.read(size))


def _embed(graph: _Graph) -> tuple[str, str]:
    """Word, position and segment added up, as [texts * tokens, 384]; and the mask as 1.0 and 0.0."""
    count = graph.add("Shape", "input_ids", start=1, end=2)
    words = graph.add("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    zero = graph.constant([0])
    places = graph.add("Slice", graph.weight("embeddings.position_embeddings.weight"), zero, count, zero)
    segment = graph.add("Gather", graph.weight("embeddings.token_type_embeddings.weight"), zero)
    x = graph.add("Add", words, graph.add("Add", places, segment))
    x = graph.normalize(x, "embeddings.LayerNorm")
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    return graph.add("Reshape", x, graph.constant([-1, WIDTH])), mask


def _encode(graph: _Graph, x: str, mask: str) -> tuple[str, str]:
    absent = graph.add("Mul", graph.add("Sub", graph.constant(1.0), mask), graph.constant(-1e9))
    bias = graph.add("Unsqueeze", absent, graph.constant([1, 2]))
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        attended = _attend(graph, x, bias, f"{layer}.attention.self")
        out = graph.linear(attended, f"{layer}.attention.output.dense")
        y = graph.normalize(graph.add("Add", out, x), f"{layer}.attention.output.LayerNorm")
        inner = graph.add("Gelu", graph.linear(y, f"{layer}.intermediate.dense"))
        out = graph.linear(inner, f"{layer}.output.dense")
        x = graph.normalize(graph.add("Add", out, y), f"{layer}.output.LayerNorm")
    return x, mask


def _attend(graph: _Graph, x: str, bias: str, layer: str) -> str:
    def heads(part: str, order: list[int]) -> str:
        shape = graph.add("Concat", graph.add("Shape", "input_ids"), graph.constant([HEADS, WIDTH // HEADS]), axis=0)
        return graph.add("Transpose", graph.add("Reshape", graph.linear(x, f"{layer}.{part}"), shape), perm=order)

    query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
    scores = graph.add("Mul", graph.add("MatMul", query, key), graph.constant((WIDTH // HEADS) ** -0.5))
    weights = graph.add("Softmax", graph.add("Add", scores, bias), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
    return graph.add("Reshape", mixed, graph.constant([-1, WIDTH]))


def _pool(graph: _Graph, encoded: tuple[str, str]) -> None:
    """The mean over a text's tokens, at unit length; which is their sum at unit length."""
    x, mask = encoded
    shape = graph.add("Concat", graph.add("Shape", "input_ids"), graph.constant([WIDTH]), axis=0)
    kept = graph.add("Mul", graph.add("Reshape", x, shape), graph.add("Unsqueeze", mask, graph.constant([-1])))
    total = graph.add("ReduceSum", kept, graph.constant([1]), keepdims=0)
    graph.add("LpNormalization", total, name="embedding", axis=-1, p=2)
