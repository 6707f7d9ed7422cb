"""Random integer programs for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from quantmcu.ir import QParams
from quantmcu.program import Program, Value, linear_form, requantize_for, steps

QP = QParams(8, 0.1, 120)


class ProgramBuilder:
    """Appends steps with random integers to a growing program of 8-bit maps."""

    def __init__(self, shape: tuple[int, int, int], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.values = {"input": Value("input", (1, *shape), 8, QP)}
        self.steps: list[steps.Step] = []
        self.last = "input"

    def shape(self, name: str | None = None) -> tuple[int, ...]:
        return self.values[name or self.last].shape

    def _add(
        self, step_type: type[steps.Step], shape: tuple[int, ...], inputs: tuple[str, ...], **fields: object
    ) -> str:
        name = f"{step_type.__name__.lower()}_{len(self.steps)}"
        self.values[f"{name}_out"] = Value(f"{name}_out", shape, 8, QP)
        self.steps.append(step_type(name=name, layer=name, inputs=inputs, output=f"{name}_out", **fields))
        self.last = f"{name}_out"
        return self.last

    def _window(self, kernel, strides, dilations, pads) -> tuple[int, int]:
        _, height, width, _ = self.shape()
        extent = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
        return (
            (height + pads[0] + pads[2] - extent[0]) // strides[0] + 1,
            (width + pads[1] + pads[3] - extent[1]) // strides[1] + 1,
        )

    def conv(self, channels, kernel=(3, 3), strides=(1, 1), dilations=(1, 1), pads=(1, 1, 1, 1), groups=1) -> str:
        inputs = self.shape()[3]
        size = self._window(kernel, strides, dilations, pads)
        weight = self.random.integers(-127, 128, (channels, *kernel, inputs // groups)).astype(np.int8)
        ratios = self.random.uniform(0.2, 1.0, channels) * 6 / (127 * 8 * max(1, weight[0].size) ** 0.5)
        bias = self.random.integers(-4000, 4000, channels) - 120 * weight.reshape(channels, -1).astype(np.int64).sum(
            axis=1
        )
        return self._add(
            steps.Convolution,
            (1, *size, channels),
            (self.last,),
            weight=weight,
            weight_bits=8,
            bias=bias.astype(np.int32),
            requantize=requantize_for(ratios, 120, 0, 255),
            input_zero_point=120,
            strides=strides,
            dilations=dilations,
            pads=pads,
            groups=groups,
        )

    def depthwise(self, **geometry) -> str:
        channels = self.shape()[3]
        return self.conv(channels, groups=channels, **geometry)

    def max_pool(self, kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0)) -> str:
        size = self._window(kernel, strides, (1, 1), pads)
        return self._add(
            steps.MaxPool,
            (1, *size, self.shape()[3]),
            (self.last,),
            kernel=kernel,
            strides=strides,
            dilations=(1, 1),
            pads=pads,
        )

    def average_pool(self, kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0)) -> str:
        size = self._window(kernel, strides, (1, 1), pads)
        counts = np.arange(1, kernel[0] * kernel[1] + 1) if any(pads) else np.array([kernel[0] * kernel[1]])
        return self._add(
            steps.AveragePool,
            (1, *size, self.shape()[3]),
            (self.last,),
            kernel=kernel,
            strides=strides,
            pads=pads,
            input_zero_point=120,
            requantize=requantize_for(1.1 / counts, 120, 0, 255),
        )

    def add(self, other: str) -> str:
        form = linear_form([0.7, 0.6], [120, 120], [255, 255], 118, 0, 255)
        return self._add(steps.Linear, self.shape(), (self.last, other), form=form)

    def concat(self, other: str) -> str:
        shape = (*self.shape()[:3], self.shape()[3] + self.shape(other)[3])
        return self._add(steps.Concatenate, shape, (self.last, other), axis=3, forms=(None, None))

    def lookup(self) -> str:
        table = self.random.integers(0, 256, 256).astype(np.uint8)
        return self._add(steps.Lookup, self.shape(), (self.last,), table=table)

    def pad(self, before=(0, 1, 2, 0), after=(0, 2, 1, 0)) -> str:
        shape = tuple(s + b + a for s, b, a in zip(self.shape(), before, after, strict=True))
        return self._add(steps.Pad, shape, (self.last,), before=before, after=after, value=99)

    def requantized(self) -> str:
        """A change of scale."""
        return self._add(steps.Linear, self.shape(), (self.last,), form=linear_form([1.3], [120], [255], 100, 5, 250))

    def gate(self) -> str:
        """Squeeze-excite: a map times a vector of its own channels."""
        shape = self.shape()
        feature_map = self.last
        self.average_pool(kernel=(shape[1], shape[2]), strides=(1, 1))
        gate = self.conv(shape[3], kernel=(1, 1), pads=(0, 0, 0, 0))
        requantize = requantize_for([0.02], 120, 0, 255)
        return self._add(steps.Multiply, shape, (feature_map, gate), zero_points=(120, 120), requantize=requantize)

    def prelu(self) -> str:
        slopes = self.random.uniform(-0.5, 1.5, self.shape()[3])
        requantize = requantize_for(np.concatenate([[1.0], slopes]), 110, 0, 255)
        return self._add(steps.PRelu, self.shape(), (self.last,), input_zero_point=120, requantize=requantize)

    def gather(self) -> str:
        """Nearest resize by 2."""
        _, height, width, channels = self.shape()
        rows, columns = (np.repeat(np.arange(size, dtype=np.int32), 2) for size in (height, width))
        return self._add(
            steps.GatherRowsColumns, (1, 2 * height, 2 * width, channels), (self.last,), rows=rows, columns=columns
        )

    def reflect(self) -> str:
        """Reflecting padding by one pixel."""
        _, height, width, channels = self.shape()
        rows, columns = (np.abs(np.arange(-1, size + 1, dtype=np.int32)) for size in (height, width))
        rows[-1], columns[-1] = height - 2, width - 2
        return self._add(
            steps.GatherRowsColumns, (1, height + 2, width + 2, channels), (self.last,), rows=rows, columns=columns
        )

    def resize_linear(self) -> str:
        _, height, width, channels = self.shape()
        tables = []
        for size in (height, width):
            position = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
            low = position.astype(np.int32)
            high = np.minimum(low + 1, size - 1).astype(np.int32)
            tables += [low, high, np.rint((position - low) * 2048).astype(np.int32)]
        names = ("low_rows", "high_rows", "row_fractions", "low_columns", "high_columns", "column_fractions")
        shape = (1, 2 * height, 2 * width, channels)
        return self._add(steps.ResizeLinear, shape, (self.last,), **dict(zip(names, tables, strict=True)))

    def slice(self) -> str:
        shape = self.shape()
        starts = tuple(0 if size < 3 else 1 for size in shape)
        stops = tuple(size for size in shape)
        every = (1, 2 if shape[1] > 3 else 1, 1, 1)
        out = tuple(-(-(stop - start) // step) for start, stop, step in zip(starts, stops, every, strict=True))
        return self._add(steps.Slice, out, (self.last,), starts=starts, ends=stops, steps=every)

    def transpose(self) -> str:
        shape = self.shape()
        permutation = (0, 2, 3, 1)
        return self._add(steps.Transpose, tuple(shape[i] for i in permutation), (self.last,), permutation=permutation)

    def head(self) -> str:
        """A dense layer and a softmax over it."""
        shape = self.shape()
        elements = int(np.prod(shape))
        self._add(steps.Reshape, (1, 1, 1, elements), (self.last,))
        self.conv(7, kernel=(1, 1), pads=(0, 0, 0, 0))
        table = np.rint(np.exp(-0.1 * np.arange(256)) * 2**20).astype(np.uint32)
        return self._add(steps.Softmax, self.shape(), (self.last,), exponentials=table)

    def argmax(self) -> str:
        shape = self.shape()
        name = self._add(steps.ArgMax, shape[:-1], (self.last,))
        self.values[name] = Value(name, shape[:-1], 32)
        return name

    def program(self, outputs: tuple[str, ...] | None = None) -> Program:
        return Program("random", ("input",), outputs or (self.last,), tuple(self.steps), self.values)

    def inputs(self) -> dict[str, np.ndarray]:
        return {"input": self.random.integers(0, 256, self.values["input"].shape).astype(np.uint8)}


@st.composite
def divisible_builders(draw, layers: int = 4) -> ProgramBuilder:
    """Chains of operators that patches can run, with skips, concatenations, odd sizes."""
    builder = ProgramBuilder(
        (draw(st.integers(7, 24)), draw(st.integers(7, 24)), draw(st.sampled_from([1, 3, 4]))),
        draw(st.integers(0, 2**16)),
    )
    small = st.integers(0, 2)
    for _ in range(draw(st.integers(1, layers))):
        _, height, width, channels = builder.shape()
        kinds = ["conv", "depthwise", "block", "lookup", "requantized", "prelu"]
        kinds += ["max_pool", "average_pool", "concat", "pad", "dilated", "slice", "reflect"]
        kinds = kinds if min(height, width) >= 6 else kinds[:6]
        kinds += ["gather", "resize_linear"] if 2 <= height * width * channels < 1500 else []
        match draw(st.sampled_from(kinds)):
            case "conv":
                k = (draw(st.integers(1, min(7, height))), draw(st.integers(1, min(7, width))))
                pads = tuple(min(draw(small), k[i % 2] - 1) for i in range(4))
                strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
                builder.conv(draw(st.sampled_from([3, 4, 8])), kernel=k, strides=strides, pads=pads)
            case "depthwise":
                if channels > 1:
                    d = draw(st.integers(1, 2)) if min(height, width) > 5 else 1
                    builder.depthwise(
                        kernel=(3, 3), dilations=(d, d), pads=(d, d, d, d), strides=(draw(st.integers(1, 2)),) * 2
                    )
            case "block":
                skip = builder.last
                builder.conv(8, kernel=(1, 1), pads=(0, 0, 0, 0))
                builder.depthwise(kernel=(3, 3))
                builder.conv(channels, kernel=(1, 1), pads=(0, 0, 0, 0))
                builder.add(skip)
            case "concat":
                skip = builder.last
                builder.conv(4, kernel=(3, 3))
                builder.concat(skip)
            case "dilated":
                strides = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
                builder.conv(4, dilations=(2, 1), strides=strides, pads=(draw(small), 1, draw(small), 1))
            case "max_pool":
                builder.max_pool(kernel=(3, 3), pads=(1, 1, 0, 0))
            case "average_pool":
                builder.average_pool(kernel=(3, 2), pads=(1, 0, 0, 1))
            case kind:
                getattr(builder, kind)()
    return builder


@st.composite
def any_builders(draw, layers: int = 6) -> ProgramBuilder:
    """Chains of all kinds of steps."""
    builder = draw(divisible_builders(layers=2))
    kinds = st.sampled_from(
        ["conv", "grouped", "requantized", "gate", "prelu", "gather", "resize_linear", "slice", "transpose", "add"]
    )
    for kind in draw(st.lists(kinds, min_size=1, max_size=layers)):
        elements = int(np.prod(builder.shape()))
        match kind:
            case "conv":
                builder.conv(draw(st.integers(1, 17)), kernel=(3, 3) if min(builder.shape()[1:3]) > 1 else (1, 1))
            case "grouped":
                channels = builder.shape()[3]
                if channels % 2 == 0:
                    builder.conv(2 * channels, groups=2)
            case "add":
                other = builder.last
                builder.requantized()
                builder.add(other)
            case "gather" | "resize_linear":
                if elements < 3000:
                    getattr(builder, kind)()
            case _:
                getattr(builder, kind)()
    match draw(st.sampled_from(["none", "head", "argmax"])):
        case "head":
            builder.head()
        case "argmax":
            builder.argmax()
    return builder
