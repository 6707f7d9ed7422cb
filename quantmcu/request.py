"""What the user asks of a compilation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quantmcu.bitwidths import BitsRequest
from quantmcu.codegen.optimize import Optimize
from quantmcu.data import Source
from quantmcu.patch.request import PatchRequest
from quantmcu.quant.vdpc import DEFAULT_PHI
from quantmcu.quant.vdqs import DEFAULT_LAMBDA, Information
from quantmcu.targets import Board
from quantmcu.vdpc import ClassesRequest

CALIBRATION_LIMIT = 200


@dataclass(frozen=True)
class CompileRequest:
    """What to compile, and how.

    Attributes:
        model: the ONNX file.
        board: a board, or the id of one.
        calibration: data to calibrate with: a path, arrays, or "random".
        out: the folder to write; None: `<model name>-<board id>` in the current folder.
        preprocess: name of a preset or a TOML file, for images.
        ram, flash: budgets in bytes in place of the board's.
        calibration_limit: at most so many samples.
        build: run PlatformIO; without it the project is written and may exceed the board's memory.
        toolchain: "auto", "gcc", "zig" or "registry".
        harness: the firmware's main program: "quantmcu", or "eembc" for the MLPerf Tiny runner.
        optimize: what the code shall be good at: "balanced", "speed" or "size" (quantmcu/codegen/optimize.py).
        patch, split_at, halo, objective, input_on_demand: how to run in patches; see `PatchRequest`.
        bits, weight_bits, lam, information, bitops_reduction, reconstruct: bits of maps and weights, and what makes up
            for them; see `BitsRequest`. Random inputs are nothing to learn from: with them, "auto" is "off".
        max_accuracy_drop: the fewest BitOPs, or cycles, that lose at most so many points; see `DropLimit`.
        vdpc, phi, outlier_fraction: patches in two classes; see `ClassesRequest`.
    """

    model: Path
    board: Board | str
    calibration: Source | None = None
    out: Path | None = None
    preprocess: str | Path | None = None
    ram: int | None = None
    flash: int | None = None
    calibration_limit: int = CALIBRATION_LIMIT
    build: bool = True
    toolchain: str = "auto"
    optimize: Optimize = "balanced"
    patch: str = "auto"
    split_at: str | None = None
    halo: str | None = None
    objective: str | None = None
    input_on_demand: bool = False
    harness: str = "quantmcu"
    bits: str = "auto"
    weight_bits: str = "auto"
    lam: float = DEFAULT_LAMBDA
    information: Information = "measured"
    bitops_reduction: float | None = None
    reconstruct: str = "auto"
    max_accuracy_drop: float | None = None
    vdpc: str = "auto"
    phi: float = DEFAULT_PHI
    outlier_fraction: float = 0.0

    @property
    def classes(self) -> ClassesRequest:
        """What is asked for of classes of patches.

        Raises:
            UsageError: there is no such choice, or it contradicts other options.
        """
        request = self._classes
        request.check(self.bitwidths.is_mixed, self.bitops_reduction, self.patches)
        return request

    @property
    def bitwidths(self) -> BitsRequest:
        """What is asked for of bits.

        Raises:
            UsageError: there is no such choice.
        """
        cost = "cycles" if self.objective == "latency" else "bitops"
        asks = self._classes.is_asked_for or self.bitops_reduction is not None or self.max_accuracy_drop is not None
        bits = "mixed" if self.bits == "auto" and asks else self.bits
        is_random = isinstance(self.calibration, str) and self.calibration == "random"
        reconstruct = "off" if is_random and self.reconstruct == "auto" else self.reconstruct
        return BitsRequest(
            bits, self.weight_bits, self.lam, self.information, self.bitops_reduction, cost, reconstruct
        )

    @property
    def _classes(self) -> ClassesRequest:
        return ClassesRequest(self.vdpc, self.phi, self.outlier_fraction)

    @property
    def patches(self) -> PatchRequest:
        """What is asked for of patch stages.

        Raises:
            UsageError: it contradicts itself.
        """
        return PatchRequest(self.patch, self.split_at, self.halo, self.objective, self.input_on_demand)
