"""The baseline: CMSIS-NN, called directly, layer by layer, in the same emulator.

The sources are those that PyPI's `bakenn` carries (`pip install 'quantmcu[bench]'`): convolution, depthwise, fully
connected, pooling. Element-wise operators and softmax are not among them and cost nothing here, in CMSIS-NN's favour.
Shapes are those of the network as published, before channels are removed. Weights are zero: no path depends on them.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kinds import kind_of
from quantmcu.emulator import FunctionMachine, compile_for_core
from quantmcu.errors import ToolError
from quantmcu.frontend import load_onnx
from quantmcu.ir import Graph, ops
from quantmcu.ir.macs import op_macs
from quantmcu.passes import SIMPLIFY
from quantmcu.passes.dead_channels import remove_dead_channels
from quantmcu.passes.tiny_weights import flush_tiny_weights
from quantmcu.resources import data_folder

LEVELS = ("-O2", "-O3")
_HEADER = """#include "arm_nnfunctions.h"
static const int8_t weights[{weights}];
static const int32_t biases[{channels}];
static int32_t multipliers[{channels}] = {{ [0 ... {channels} - 1] = 0x40000000 }};
static int32_t shifts[{channels}] = {{ [0 ... {channels} - 1] = -8 }};
static int8_t memory[{memory}] __attribute__((aligned(16)));
"""


@dataclass(frozen=True)
class Layer:
    """A layer as CMSIS-NN sees it; dimensions are (n, h, w, c).

    Attributes:
        function: `convolve`, `depthwise`, `fully_connected`, `avgpool` or `max_pool`.
        pads: top and left.
    """

    name: str
    function: str
    input: tuple[int, int, int, int]
    filter: tuple[int, int, int, int]
    output: tuple[int, int, int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]
    weights: int
    macs: int

    @property
    def kind(self) -> str:
        """As `kind_of` names it."""
        if self.function in ("avgpool", "max_pool"):
            return "other"
        pixels = self.output[1] * self.output[2]
        kernel = (1, 1) if self.function == "fully_connected" else self.filter[1:3]
        return kind_of(kernel, self.input[3], pixels, depthwise=self.function == "depthwise")


def available() -> str | None:
    """Why the baseline can't be measured, or None."""
    if importlib.util.find_spec("bakenn") is None:
        return "the package bakenn is not installed: pip install 'quantmcu[bench]'"
    return None


def layers_of(model: Path) -> tuple[list[Layer], list[str]]:
    """The layers of an ONNX file, and the operators that CMSIS-NN's sources here don't cover."""
    graph = load_onnx(model)
    for run in SIMPLIFY:
        if run not in (remove_dead_channels, flush_tiny_weights):
            graph = run(graph)
    layers, left_out = [], []
    for op in graph.ops:
        layer = _layer(op, graph)
        if layer is not None:
            layers.append(layer)
        elif not isinstance(op, ops.Reshape):
            left_out.append(type(op).__name__)
    return layers, left_out


def measure(layers: Sequence[Layer], core: str) -> dict[str, Any]:
    """Cycles of the layers on a core, with the faster of `LEVELS`.

    Raises:
        ToolError: there is no compiler or no sources, or CMSIS-NN refuses a layer.
    """
    results = [_measure(layers, core, level) for level in LEVELS]
    return min(results, key=lambda result: float(result["cycles"]))


def _measure(layers: Sequence[Layer], core: str, level: str) -> dict[str, Any]:
    vendor = _vendor_folder()
    sources: list[Path | str] = [
        path for path in sorted((vendor / "cmsis_nn" / "Source").rglob("*.c")) if not path.name.startswith("bakenn_")
    ]
    libc = data_folder("firmware") / "ports" / "libc"
    includes = [f"-I{vendor}/cmsis_nn/Include", f"-I{vendor}/cmsis_core/Include"]
    # memcpy of a word must become a load, as in any hosted build; the copied string.c must not call itself.
    flags = ["-std=gnu11", level, "-w", "-fhosted", "-fno-tree-loop-distribute-patterns", *includes]
    elf = compile_for_core([*sources, libc / "string.c", program(layers)], core, flags, compiler="gcc")
    machine = FunctionMachine(elf, core)
    rows = []
    for index, layer in enumerate(layers):
        call = machine.call(f"layer{index}")
        if call.r0 != 0:
            raise ToolError(f"CMSIS-NN refuses the layer {layer.name}", where=f"arm_{layer.function}", why=f"{layer}")
        rows.append(
            {
                "name": layer.name,
                "function": layer.function,
                "kind": layer.kind,
                "macs": layer.macs,
                "cycles": call.cycles,
            }
        )
    return {"core": core, "level": level, "cycles": sum(row["cycles"] for row in rows), "layers": rows}


def program(layers: Sequence[Layer]) -> str:
    """C text with a function `layer<index>` for each layer."""
    memory = max(_bytes(layer.input) + _bytes(layer.output) + _scratch_bytes(layer) for layer in layers)
    sizes = {
        "weights": max(layer.weights for layer in layers) + 4,
        "channels": max(layer.output[3] for layer in layers),
        "memory": memory,
    }
    return _HEADER.format(**sizes) + "".join(_function(index, layer) for index, layer in enumerate(layers))


def _vendor_folder() -> Path:
    spec = importlib.util.find_spec("bakenn")
    if spec is None or spec.origin is None:
        raise ToolError("CMSIS-NN's sources are missing", hint="pip install 'quantmcu[bench]'")
    return Path(spec.origin).parent / "backend" / "cmsis_nn" / "vendor"


def _layer(op: ops.Op, graph: Graph) -> Layer | None:
    if isinstance(op, ops.Conv2D):
        rows, columns = op.kernel
        depthwise = op.is_depthwise
        return Layer(
            op.name,
            "depthwise" if depthwise else "convolve",
            _dimensions(graph, op.inputs[0]),
            (
                1 if depthwise else op.weight.shape[0],
                rows,
                columns,
                op.weight.shape[0] if depthwise else op.weight.shape[3],
            ),
            _dimensions(graph, op.output),
            op.strides,
            op.dilations,
            op.pads[:2],
            op.weight.size,
            op_macs(op, graph),
        )
    if isinstance(op, ops.Dense):
        outputs, inputs = op.weight.shape
        return Layer(
            op.name, "fully_connected", (1, 1, 1, inputs), (inputs, 1, 1, outputs), (1, 1, 1, outputs),
            (1, 1), (1, 1), (0, 0), op.weight.size, op_macs(op, graph),
        )  # fmt: skip
    if isinstance(op, (ops.AveragePool, ops.MaxPool)):
        function = "avgpool" if isinstance(op, ops.AveragePool) else "max_pool"
        return Layer(
            op.name, function, _dimensions(graph, op.inputs[0]), (1, *op.kernel, 1), _dimensions(graph, op.output),
            op.strides, (1, 1), op.pads[:2], 0, 0,
        )  # fmt: skip
    return None


def _dimensions(graph: Graph, name: str) -> tuple[int, int, int, int]:
    shape = graph.tensor(name).shape
    padded = (1,) * (4 - len(shape)) + tuple(shape)
    return padded[0], padded[1], padded[2], padded[3]


def _bytes(shape: tuple[int, ...]) -> int:
    return -(-math.prod(shape) // 16) * 16


def _scratch_bytes(layer: Layer) -> int:
    """Enough for any of CMSIS-NN's buffers: two columns as int16, or a channel's sums of a pooled row."""
    _, rows, columns, _ = layer.filter
    return -(-(4 * rows * columns * layer.input[3] + 4 * layer.output[2] * layer.input[3] + 64) // 16) * 16


_CALLS = {
    "convolve": ("cmsis_nn_conv_params", "arm_convolve_wrapper_s8", "cmsis_nn_per_channel_quant_params"),
    "depthwise": ("cmsis_nn_dw_conv_params", "arm_depthwise_conv_wrapper_s8", "cmsis_nn_per_channel_quant_params"),
    "fully_connected": ("cmsis_nn_fc_params", "arm_fully_connected_s8", "cmsis_nn_per_tensor_quant_params"),
    "avgpool": ("cmsis_nn_pool_params", "arm_avgpool_s8", None),
    "max_pool": ("cmsis_nn_pool_params", "arm_max_pool_s8", None),
}


def _function(index: int, layer: Layer) -> str:
    structure, function, quantization = _CALLS[layer.function]
    fields = [".activation = {-128, 127}"]
    if layer.function != "fully_connected":
        fields += [f".stride = {_tile(layer.strides)}", f".padding = {_tile(layer.pads)}"]
    if quantization:
        fields += [".input_offset = 128", ".output_offset = -128"]
    if layer.function in ("convolve", "depthwise"):
        fields.append(f".dilation = {_tile(layer.dilations)}")
    if layer.function == "depthwise":
        fields.append(f".ch_mult = {layer.output[3] // layer.input[3]}")
    scale = "{multipliers, shifts}" if quantization and "channel" in quantization else "{0x40000000, -8}"
    output = _bytes(layer.input)
    scratch = output + _bytes(layer.output)
    arguments = ["&context", "&layer"]
    if quantization:
        arguments += ["&scale", "&input", "memory", "&filter", "weights", "&channels", "biases"]
    else:
        arguments += ["&input", "memory", "&filter"]
    arguments += ["&output", f"memory + {output}"]
    lines = [
        f"cmsis_nn_context context = {{memory + {scratch}, {_scratch_bytes(layer)}}};",
        f"static const {structure} layer = {{{', '.join(fields)}}};",
        f"static const cmsis_nn_dims input = {_braces(layer.input)}, filter = {_braces(layer.filter)};",
        f"static const cmsis_nn_dims output = {_braces(layer.output)};",
        f"static const cmsis_nn_dims channels = {{1, 1, 1, {layer.output[3]}}};",
        f"static const {quantization} scale = {scale};" if quantization else "(void)channels;",
        f"return {function}({', '.join(arguments)});",
    ]
    body = "\n    ".join(lines)
    return f"int layer{index}(void)\n{{\n    {body}\n}}\n"


def _tile(pair: tuple[int, int]) -> str:
    rows, columns = pair
    return f"{{.w = {columns}, .h = {rows}}}"


def _braces(values: Sequence[int]) -> str:
    return "{" + ", ".join(map(str, values)) + "}"
