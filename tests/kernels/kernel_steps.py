"""Random steps of every kind (hypothesis strategies), with the shapes around them and input codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from convolution_steps import convolutions
from hypothesis import strategies as st
from kernel_cases import Case, Shape, clamps, codes_256, codes_of, geometries, requantizations, seeds
from numpy.typing import NDArray

from quantmcu.codegen.kernel import Kernel
from quantmcu.program import steps
from quantmcu.program.fixed_point import LinearForm, linear_form


@st.composite
def broadcasts(draw: st.DrawFn, count: int) -> tuple[tuple[Shape, ...], Shape]:
    """Shapes of `count` operands that broadcast, and of the result."""
    if draw(st.booleans()):
        output = (1, draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 20)))
    else:
        output = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=6)))
    operands = []
    for index in range(count):
        kind = draw(st.sampled_from(["same", "same", "channel", "any"])) if count > 1 else "same"
        shape = output
        if kind == "channel":
            shape = (1,) * (len(output) - 1) + output[-1:]
        elif kind == "any":
            shape = tuple(draw(st.sampled_from([n, 1])) for n in output)
            shape = shape[draw(st.integers(0, len(shape) - 1)) :] if index else shape
        operands.append(shape)
    return tuple(operands), np.broadcast_shapes(*operands)


@st.composite
def linear_forms(draw: st.DrawFn, count: int) -> LinearForm:
    """Ratios around 1, of both signs."""
    ratios = [draw(st.floats(0.01, 3.0)) * draw(st.sampled_from([1, 1, -1])) for _ in range(count)]
    low, high = draw(clamps())
    return linear_form(ratios, [draw(codes_256) for _ in range(count)], [255] * count, draw(codes_256), low, high)


@st.composite
def linears(draw: st.DrawFn) -> Case:
    """Add, Sub, change of scale."""
    count = draw(st.integers(1, 2))
    shapes, output = draw(broadcasts(count))
    step = steps.Linear(name="step", inputs=("in0", "in1")[:count], output="out", form=draw(linear_forms(count)))
    return Case(step, shapes, output, draw(codes_of(*shapes)))


@st.composite
def multiplies(draw: st.DrawFn) -> Case:
    """Products."""
    shapes, output = draw(broadcasts(2))
    step = steps.Multiply(
        name="step",
        inputs=("in0", "in1"),
        output="out",
        zero_points=(draw(codes_256), draw(codes_256)),
        requantize=draw(requantizations(1, 255.0 * 255)),
    )
    return Case(step, shapes, output, draw(codes_of(*shapes)))


maps = st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 9), st.integers(1, 20))


@st.composite
def lookups(draw: st.DrawFn) -> Case:
    """Tables."""
    shape = draw(maps)
    table = np.random.default_rng(draw(seeds)).integers(0, 256, 256, dtype=np.uint8)
    return Case(
        steps.Lookup(name="step", inputs=("in0",), output="out", table=table), (shape,), shape, draw(codes_of(shape))
    )


@st.composite
def prelus(draw: st.DrawFn) -> Case:
    """PRelu with slopes of both signs."""
    shape = draw(maps)
    requantize = draw(requantizations(1 + shape[-1], 255.0, signed=True))
    step = steps.PRelu(
        name="step", inputs=("in0",), output="out", input_zero_point=draw(codes_256), requantize=requantize
    )
    return Case(step, (shape,), shape, draw(codes_of(shape)))


@st.composite
def max_pools(draw: st.DrawFn) -> Case:
    """Any window."""
    size, kernel, strides, dilations, pads, output = draw(geometries())
    channels = draw(st.integers(1, 20) | st.sampled_from([4, 8, 20]))
    step = steps.MaxPool(
        name="step", inputs=("in0",), output="out", kernel=kernel, strides=strides, dilations=dilations, pads=pads
    )
    shape = (1, *size, channels)
    return Case(step, (shape,), (1, *output, channels), draw(codes_of(shape)))


@st.composite
def average_pools(draw: st.DrawFn) -> Case:
    """Any window, global ones included."""
    size, kernel, strides, _, pads, output = draw(geometries(dilated=False))
    if draw(st.integers(0, 3)) == 0:
        size = draw(st.sampled_from([(1, 1), (7, 7), (18, 17)]))
        kernel, strides, pads, output = (size[0], size[1]), (1, 1), (0, 0, 0, 0), (1, 1)
    channels = draw(st.integers(1, 40) | st.sampled_from([4, 8, 36]))
    count = draw(st.sampled_from([1, kernel[0] * kernel[1]]))
    step = steps.AveragePool(
        name="step",
        inputs=("in0",),
        output="out",
        kernel=kernel,
        strides=strides,
        pads=pads,
        input_zero_point=draw(codes_256),
        requantize=draw(requantizations(count, 255.0 * kernel[0] * kernel[1])),
    )
    shape = (1, *size, channels)
    return Case(step, (shape,), (1, *output, channels), draw(codes_of(shape)))


small_shapes = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)


@st.composite
def concatenations(draw: st.DrawFn) -> Case:
    """Along any axis, with and without changes of scale."""
    shape = draw(small_shapes)
    axis = draw(st.integers(0, len(shape) - 1))
    shapes = tuple((*shape[:axis], draw(st.integers(1, 9)), *shape[axis + 1 :]) for _ in range(draw(st.integers(1, 4))))
    forms = tuple(draw(st.one_of(st.none(), linear_forms(1))) for _ in shapes)
    output = (*shape[:axis], sum(s[axis] for s in shapes), *shape[axis + 1 :])
    names = tuple(f"in{i}" for i in range(len(shapes)))
    step = steps.Concatenate(name="step", inputs=names, output="out", axis=axis, forms=forms)
    return Case(step, shapes, output, draw(codes_of(*shapes)))


@st.composite
def slices(draw: st.DrawFn) -> Case:
    """Boxes with steps."""
    shape = draw(small_shapes)
    starts, ends, every = [], [], []
    for count in shape:
        starts.append(draw(st.integers(0, count - 1)))
        ends.append(draw(st.integers(starts[-1] + 1, count)))
        every.append(draw(st.integers(1, 3)))
    output = tuple(-(-(e - s) // k) for s, e, k in zip(starts, ends, every, strict=True))
    step = steps.Slice(
        name="step", inputs=("in0",), output="out", starts=tuple(starts), ends=tuple(ends), steps=tuple(every)
    )
    return Case(step, (shape,), output, draw(codes_of(shape)))


@st.composite
def pads(draw: st.DrawFn) -> Case:
    """On any axis."""
    shape = draw(small_shapes)
    before = tuple(draw(st.integers(0, 3)) for _ in shape)
    after = tuple(draw(st.integers(0, 3)) for _ in shape)
    if draw(st.booleans()):  # not the channels
        before, after = (*before[:-1], 0), (*after[:-1], 0)
    output = tuple(b + n + a for b, n, a in zip(before, shape, after, strict=True))
    step = steps.Pad(name="step", inputs=("in0",), output="out", before=before, after=after, value=draw(codes_256))
    return Case(step, (shape,), output, draw(codes_of(shape)))


@st.composite
def outlier_tests(draw: st.DrawFn) -> Case:
    """Few, some or many outliers, and bounds that leave no code."""
    shape = draw(small_shapes)
    low, high = draw(st.one_of(clamps(), st.just((1, 0)), st.tuples(st.integers(0, 20), st.integers(200, 255))))
    limit = draw(st.sampled_from([0, 1, int(np.prod(shape)) // 10, int(np.prod(shape)) // 2]))
    step = steps.DetectOutliers(name="step", inputs=("in0",), output="out", low=low, high=high, limit=limit)
    return Case(step, (shape,), (1,), draw(codes_of(shape)))


@st.composite
def gathers(draw: st.DrawFn) -> Case:
    """Rows and columns in any order."""
    shape = draw(maps)
    rng = np.random.default_rng(draw(seeds))
    rows = rng.integers(0, shape[1], draw(st.integers(1, 12))).astype(np.int32)
    columns = rng.integers(0, shape[2], draw(st.integers(1, 12))).astype(np.int32)
    step = steps.GatherRowsColumns(name="step", inputs=("in0",), output="out", rows=rows, columns=columns)
    return Case(step, (shape,), (1, len(rows), len(columns), shape[3]), draw(codes_of(shape)))


@st.composite
def linear_resizes(draw: st.DrawFn) -> Case:
    """Any rows, columns and fractions."""
    shape = draw(maps)
    rng = np.random.default_rng(draw(seeds))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))

    def table(size: int, limit: int) -> NDArray[np.int32]:
        return rng.integers(0, limit, size).astype(np.int32)

    step = steps.ResizeLinear(
        name="step",
        inputs=("in0",),
        output="out",
        low_rows=table(height, shape[1]),
        high_rows=table(height, shape[1]),
        row_fractions=table(height, 2049),
        low_columns=table(width, shape[2]),
        high_columns=table(width, shape[2]),
        column_fractions=table(width, 2049),
    )
    return Case(step, (shape,), (1, height, width, shape[3]), draw(codes_of(shape)))


@st.composite
def reshapes(draw: st.DrawFn) -> Case:
    """To a vector, or to rows of the same length."""
    shape = draw(small_shapes)
    count = int(np.prod(shape))
    output = draw(st.sampled_from([(1, count), (count // shape[-1], shape[-1])]))
    step = steps.Reshape(name="step", inputs=("in0",), output="out")
    return Case(step, (shape,), output, draw(codes_of(shape)))


@st.composite
def transposes(draw: st.DrawFn) -> Case:
    """Any permutation."""
    shape = draw(small_shapes)
    permutation = tuple(draw(st.permutations(range(len(shape)))))
    step = steps.Transpose(name="step", inputs=("in0",), output="out", permutation=permutation)
    return Case(step, (shape,), tuple(shape[axis] for axis in permutation), draw(codes_of(shape)))


@st.composite
def softmaxes(draw: st.DrawFn) -> Case:
    """Up to the largest table that fits."""
    rows, length = draw(st.integers(1, 3)), draw(st.integers(1, 40))
    scale = draw(st.floats(0.001, 0.5))
    largest_e = min(2**24 - 1, (2**32 - 1) // length)
    exponentials = np.rint(np.exp(-scale * np.arange(256)) * largest_e).astype(np.uint32)
    step = steps.Softmax(name="step", inputs=("in0",), output="out", exponentials=exponentials)
    return Case(step, ((rows, length),), (rows, length), draw(codes_of((rows, length))))


@st.composite
def argmaxes(draw: st.DrawFn) -> Case:
    """With ties."""
    rows, length = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    (codes,) = draw(codes_of((rows, length)))
    codes = codes // draw(st.sampled_from([1, 50]))
    return Case(
        steps.ArgMax(name="step", inputs=("in0",), output="out"), ((rows, length),), (rows,), (codes,), output_bits=32
    )


ANY_STEP: dict[type[steps.Step], Callable[[], st.SearchStrategy[Case]]] = {
    steps.Convolution: convolutions,
    steps.Linear: linears,
    steps.Multiply: multiplies,
    steps.Lookup: lookups,
    steps.PRelu: prelus,
    steps.MaxPool: max_pools,
    steps.AveragePool: average_pools,
    steps.Concatenate: concatenations,
    steps.Slice: slices,
    steps.Pad: pads,
    steps.GatherRowsColumns: gathers,
    steps.ResizeLinear: linear_resizes,
    steps.Reshape: reshapes,
    steps.Transpose: transposes,
    steps.Softmax: softmaxes,
    steps.ArgMax: argmaxes,
    steps.DetectOutliers: outlier_tests,
}

FOR_KERNEL: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "depthwise_generated": lambda: st.one_of(convolutions("depthwise", square=True), convolutions("depthwise")),
    "depthwise_portable": lambda: st.one_of(convolutions("depthwise"), convolutions("multiplied")),
}


def steps_for(kernel: Kernel) -> st.SearchStrategy[Case]:
    """Steps of the kernel's type, of a form that it may support."""
    return FOR_KERNEL.get(kernel.name, ANY_STEP[kernel.step_type])()
