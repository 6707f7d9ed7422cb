"""Whether it matters which patches keep 8 bits: a choice of patches against as many at random, in float arithmetic.

Both branches of a stage run whole in ONNX Runtime (QDQ models, each layer within a code of the integers), their outputs
are stitched cell by cell as a mask says, and the rest of the network runs on that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from quantmcu.data import Dataset, Sample
from quantmcu.export import export_onnx
from quantmcu.export.writer import onnx_shape
from quantmcu.ir import Graph
from quantmcu.program.stages import Cell, PatchStage
from quantmcu.quant.accuracy import compare, is_classifier
from quantmcu.quant.calibrate import Progress
from quantmcu.quant.sessions import model_session
from quantmcu.quant.vdpc import Classes, random_classes

MASK_SAMPLES = 32
MASK_SECONDS = 30.0
"""Bounds of the comparison: at most so many samples, and no further one after so long."""

RANDOM_SEEDS = (0, 1)
_STITCHED = "__stitched"

Outputs = list[NDArray[np.generic]]


@dataclass(frozen=True)
class MaskResult:
    """What the network makes of a choice of patches.

    Attributes:
        patches: "all", "vdpc", "random" or "none": those that keep 8 bits.
        share: of the patches.
        samples: number of samples.
        agreement: share of samples with the class of the float network; None where it is no classifier.
        sqnr_db: signal to noise of the outputs against the float network; None without noise.
    """

    patches: str
    share: float
    samples: int
    agreement: float | None
    sqnr_db: float | None


def compare_masks(
    graph: Graph,
    branches: tuple[Graph, Graph],
    stage: PatchStage,
    dataset: Dataset,
    by_sample: Sequence[Classes],
    progress: Progress | None = None,
) -> list[MaskResult]:
    """All patches at 8 bits, those of `by_sample`, as many at random (the mean of two draws), and none.

    Args:
        graph: float.
        branches: quantized: of the outlier class, and of the other one.
        stage: whose cells are stitched.
        dataset: one sample for each entry of `by_sample`; a bounded number of them is used, spread evenly.
        by_sample: by sample, the classes of the cells.
        progress: told of each sample.
    """
    chosen = [index * len(by_sample) // MASK_SAMPLES for index in range(min(MASK_SAMPLES, len(by_sample)))]
    chosen = chosen if len(by_sample) > MASK_SAMPLES else list(range(len(by_sample)))
    wanted = np.stack([by_sample[index] for index in chosen])
    masks = {"all": np.ones_like(wanted), "vdpc": wanted}
    masks |= {f"random {seed}": random_classes(wanted.shape, float(wanted.mean()), seed) for seed in RANDOM_SEEDS}
    masks["none"] = np.zeros_like(wanted)
    simulation = _Simulation(graph, branches, stage, _compared(graph))
    floats: list[Outputs] = []
    found: dict[str, list[Outputs]] = {name: [] for name in masks}
    started = time.monotonic()
    for number, index in enumerate(chosen):
        if time.monotonic() - started > MASK_SECONDS and number > 0:
            break
        floats.append(simulation.reference(dataset[index]))
        rows = [mask[number] for mask in masks.values()]
        for name, outputs in zip(masks, simulation.run(dataset[index], rows), strict=True):
            found[name].append(outputs)
        if progress is not None:
            progress(number + 1, len(chosen))
    used = len(floats)
    results = {
        name: _result(graph, name, float(masks[name][:used].mean()), floats, outputs) for name, outputs in found.items()
    }
    drawn = [results.pop(f"random {seed}") for seed in RANDOM_SEEDS]
    return [results["all"], results["vdpc"], _mean(drawn), results["none"]]


def stitched_outputs(
    graph: Graph,
    branches: tuple[Graph, Graph],
    stage: PatchStage,
    dataset: Dataset,
    by_sample: Sequence[Classes],
) -> Iterator[Outputs]:
    """All outputs of the network for each sample, its patches in the classes of `by_sample`; see `compare_masks`."""
    simulation = _Simulation(graph, branches, stage, graph.outputs)
    for sample, classes in zip(dataset, by_sample, strict=True):
        yield from simulation.run(sample, [classes])


def _result(graph: Graph, name: str, share: float, floats: list[Outputs], outputs: list[Outputs]) -> MaskResult:
    names = _compared(graph)
    report = compare(floats, outputs, names, classifier=is_classifier(graph))
    noises = [output.sqnr_db for output in report.outputs]
    known = [noise for noise in noises if noise is not None]
    return MaskResult(name, share, report.n, report.agreement, min(known, default=None))


def _compared(graph: Graph) -> list[str]:
    """Outputs to compare: indices only where there is nothing else."""
    return [name for name in graph.outputs if not graph.tensor(name).is_index] or list(graph.outputs)


def _mean(drawn: Sequence[MaskResult]) -> MaskResult:
    agreements = [result.agreement for result in drawn if result.agreement is not None]
    noises = [result.sqnr_db for result in drawn if result.sqnr_db is not None]
    return MaskResult(
        "random",
        float(np.mean([result.share for result in drawn])),
        drawn[0].samples,
        float(np.mean(agreements)) if agreements else None,
        float(np.mean(noises)) if noises else None,
    )


class _Simulation:
    """Sessions of the float network, of the stage in both branches, and of what follows it."""

    def __init__(
        self, graph: Graph, branches: tuple[Graph, Graph], stage: PatchStage, names: Sequence[str]
    ) -> None:
        self.stage = stage
        self.names = names
        self.float = model_session(export_onnx(graph))
        self.front = []
        for branch in branches:
            model = export_onnx(branch, qdq=True)
            self.front.append(model_session(_cut(model, (), stage.outputs, branch)))
        self.back = model_session(_cut(export_onnx(branches[0], qdq=True), stage.outputs, self.names, branches[0]))

    def reference(self, sample: Sample) -> Outputs:
        """Of the float network."""
        return list(self.float.run(self.names, dict(sample.inputs)))

    def run(self, sample: Sample, masks: Sequence[Classes]) -> Iterator[Outputs]:
        """For each mask (by cell, whether it runs the outlier branch) the network's outputs."""
        wide, narrow = (
            dict(zip(self.stage.outputs, front.run(list(self.stage.outputs), _fed(front, sample.inputs)), strict=True))
            for front in self.front
        )
        for mask in masks:
            maps = {name: array.copy() for name, array in narrow.items()}
            for cell, is_outlier in zip(self.stage.cells, mask, strict=True):
                if is_outlier:
                    _take(cell, wide, maps)
            feeds = {f"{name}{_STITCHED}": array for name, array in maps.items()} | dict(sample.inputs)
            yield list(self.back.run(self.names, _fed(self.back, feeds)))


def _take(cell: Cell, source: Mapping[str, NDArray[np.float32]], target: Mapping[str, NDArray[np.float32]]) -> None:
    """Copies the part of the stage's outputs that `cell` makes; arrays are NCHW."""
    for name, region in cell.results.items():
        part = (..., slice(region.rows.start, region.rows.stop), slice(region.columns.start, region.columns.stop))
        target[name][part] = source[name][part]


def _fed(session: onnxruntime.InferenceSession, values: Mapping[str, NDArray[np.float32]]) -> dict[str, object]:
    return {entry.name: values[entry.name] for entry in session.get_inputs()}


def _cut(
    model: onnx.ModelProto, given: Sequence[str], wanted: Sequence[str], graph: Graph
) -> onnx.ModelProto:
    """The part of an exported model from the tensors `given` (named anew) to the tensors `wanted`.

    Tensors of the graph are read before they are quantized, so that the next part quantizes them.
    """
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node]
    for node in nodes:
        node.input[:] = [f"{name}{_STITCHED}" if name in given else name for name in node.input]
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    inputs = [entry for entry in model.graph.input if entry.name in needed]
    inputs += [_tensor(f"{name}{_STITCHED}", graph, name) for name in given]
    known = {entry.name: entry for entry in model.graph.output}
    outputs = [known.get(name) or _tensor(name, graph, name) for name in wanted]
    initializers = [entry for entry in model.graph.initializer if entry.name in needed]
    part = onnx.helper.make_graph(kept[::-1], "part", inputs, outputs, initializers)
    return onnx.helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)


def _tensor(name: str, graph: Graph, tensor: str) -> onnx.ValueInfoProto:
    shape = onnx_shape(graph.tensor(tensor).shape)
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
