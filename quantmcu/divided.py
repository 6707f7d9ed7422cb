"""The network with patches of two classes: division, bits of the narrow branch, both branches, and what they are worth.

VDPC keeps 8 bits where a patch holds outliers. Whether that choice is better than a random one of as many patches is
measured at every compilation and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from quantmcu.bitwidths import BitChooser, BitsRequest, QuantizedNetwork
from quantmcu.codegen.optimize import Optimize
from quantmcu.data import Dataset
from quantmcu.ir import Graph
from quantmcu.memory.budget import Budget
from quantmcu.planning import PlannedNetwork
from quantmcu.quant.patch_masks import RANDOM_SEEDS, MaskResult, Outputs, compare_masks, stitched_outputs
from quantmcu.quant.vdpc import random_classes
from quantmcu.targets import Board
from quantmcu.vdpc import ClassesRequest, Division, divide_patches

LEAST_GAIN_DB = 0.5
"""By "auto", VDPC has to beat random patches by this much; two random draws differ by 0.1 dB (docs/bitwidths.md)."""


SECOND_BRANCH_BYTES = 64 * 1024
"""Flash kept free for the second branch: other kernels, and their parameters for each kind of cell; at most an eighth.

MobileNetV2 @144 with 3x3 patches up to 18x18x32 on nucleo-f767 took 16 KiB more than is left free without classes,
with weights of 4 bits 56 KiB.
"""


@dataclass(frozen=True, eq=False)
class DividedNetwork:
    """A network with patches of two classes.

    Attributes:
        division: which patches are of which class.
        network: quantized; the maps inside the stage have the bits of the narrow branch.
        branches: quantized graphs of the outlier class and of the other one.
        comparison: with other choices of patches.
    """

    division: Division
    network: QuantizedNetwork
    branches: tuple[Graph, Graph]
    comparison: Sequence[MaskResult] = ()

    def plan(self, board: Board, budget: Budget) -> PlannedNetwork:
        """Kernels and memory.

        Raises:
            QuantMCUError: it does not fit, or the two branches need different steps.
        """
        return self.division.plan(self.division.program(self.branches), board, budget)

    def outputs(self, graph: Graph, samples: Dataset, *, at_random: bool = False) -> Iterator[Outputs]:
        """Of the network, sample by sample, by ONNX Runtime; `at_random`: as many patches of the outlier class, drawn.

        Args:
            graph: the float network that was quantized.
            samples: float inputs.
            at_random: in place of the patches that the test finds.
        """
        classes = self.division.classes_of(graph, samples)
        if at_random:
            drawn = np.stack(classes)
            classes = list(random_classes(drawn.shape, float(drawn.mean()), RANDOM_SEEDS[0]))
        return stitched_outputs(graph, self.branches, self.division.stage, samples, classes)

    @property
    def gain_db(self) -> float:
        """Signal to noise beyond that of random patches; 0 where one of them is unknown."""
        noise = {result.patches: result.sqnr_db for result in self.comparison}
        vdpc, random = noise["vdpc"], noise["random"]
        return vdpc - random if vdpc is not None and random is not None else 0.0

    def describe(self) -> dict[str, Any]:
        """`plan.vdpc` of result.json."""
        division = self.division
        return {
            "mode": "dynamic" if division.is_dynamic else "static",
            "tensor": division.test.tensor,
            "low": division.test.low,
            "high": division.test.high,
            "fraction": division.test.fraction,
            "mean": division.model.mean,
            "deviation": division.model.deviation,
            "cells": len(division.stage.cells),
            "outlier_cells": round(division.share * len(division.stage.cells), 3),
            "comparison": [
                {name: round(value, 4) if isinstance(value, float) else value for name, value in vars(result).items()}
                for result in self.comparison
            ],
        }


def divide(
    chooser: BitChooser, bits: BitsRequest, request: ClassesRequest, optimize: Optimize
) -> DividedNetwork | None:
    """The network with patches of two classes, where that is asked for; by "auto" only where it pays.

    Args:
        chooser: of the bits; without classes.
        bits: what the user wants of bits.
        request: what the user wants of classes.
        optimize: what the code shall be good at.

    Raises:
        QuantMCUError: no stage with recomputed halos is possible, or none fits.
    """
    if not request.is_tried(bits.is_mixed, bits.reduction, chooser.patches):
        return None
    divided = divide_network(chooser, bits, request, optimize)
    division, clock = divided.division, chooser.clock
    dataset = chooser.dataset.take(chooser.calibration.samples)
    with clock.stage("compare masks"):
        found = compare_masks(
            chooser.graph, divided.branches, division.stage, dataset, division.counted, clock.advance
        )
    divided = replace(divided, comparison=found)
    clock.note(_compared(divided))
    if request.mode == "auto" and not (divided.gain_db >= LEAST_GAIN_DB and division.share < 1):
        clock.note(f"VDPC is not used: it has to beat random patches by {LEAST_GAIN_DB} dB (--vdpc dynamic uses it)")
        return None
    return divided


def divide_network(
    chooser: BitChooser, bits: BitsRequest, request: ClassesRequest, optimize: Optimize = "balanced"
) -> DividedNetwork:
    """As `divide`, whatever it is worth: not compared with other choices of patches.

    Raises:
        QuantMCUError: no stage with recomputed halos is possible, or none fits.
    """
    clock, dataset = chooser.clock, chooser.dataset.take(chooser.calibration.samples)
    constant_bytes = chooser.budget.constant_bytes
    kept_free = min(SECOND_BRANCH_BYTES, constant_bytes // 8)
    budget = replace(chooser.budget, constant_bytes=constant_bytes - kept_free)
    with clock.stage("classes"):
        division = divide_patches(
            chooser.graph, chooser.calibration, dataset, chooser.board, budget, chooser.patches, request,
            optimize, clock,
        )  # fmt: skip
    network = replace(chooser, division=division, budget=budget).choose(bits)
    return DividedNetwork(division, network, division.branches(network.graph))


def _compared(divided: DividedNetwork) -> str:
    """The comparison in a sentence."""
    texts = []
    for result in divided.comparison:
        noise = "no noise" if result.sqnr_db is None else f"{result.sqnr_db:.1f} dB"
        agreement = "" if result.agreement is None else f", {result.agreement:.1%} agree"
        texts.append(f"{result.patches} ({result.share:.0%}): {noise}{agreement}")
    samples = divided.comparison[0].samples
    return f"patches at 8 bits, against the float network on {samples} calibration samples: {'; '.join(texts)}"
