"""Measures the rows of a network: by two halves of its images, each of which calibrates for the other."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.bits import with_more_flash
from benchmarks.bitwidths.cases import BOARD, Case
from benchmarks.bitwidths.costs import (
    Planned,
    bitops_as_planned,
    bitops_by_layer,
    described_bitops,
    plan_divided,
    plan_program,
)
from benchmarks.bitwidths.emulated import emulated_cycles, firmware_digest
from benchmarks.bitwidths.half import Half, Network
from benchmarks.bitwidths.rows import EIGHT_BITS, Row, patched, rows_of
from benchmarks.bitwidths.store import Entry, Store, source_digest
from quantmcu.build import FlashOverflowError, build_to_fit
from quantmcu.data import Dataset, input_specs, load_preprocess, open_dataset
from quantmcu.data.dataset import Subset
from quantmcu.divided import DividedNetwork
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.frontend import load_onnx, read_network
from quantmcu.ir import Graph
from quantmcu.measurement import source_commit
from quantmcu.passes import simplify
from quantmcu.program.serialize import load_program, save_program
from quantmcu.targets import load_board

DYNAMIC_SAMPLES = 5
"""Images that are run in the emulator where patches choose their branch by them."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        calibration: images of a half that calibrate, at most.
        evaluation: images of a half that give figures, at most; None: all.
        is_emulated: firmware is built and run.
        keeps_older: accuracy measured with another version of QuantMCU's source is kept; plans and emulated cycles are
            made anew from the kept programs.
    """

    calibration: int = 250
    evaluation: int | None = None
    is_emulated: bool = False
    keeps_older: bool = False


def measure_case(case: Case, store: Store, effort: Effort, only: Sequence[str], say: Say) -> None:
    """Measures what `store` lacks, main rows first: of those whose name holds one of `only` (all where there is none).

    Raises:
        UsageError: there are no labels.
    """
    with tempfile.TemporaryDirectory(prefix="quantmcu-bitwidths-") as folder:
        measuring = _Measuring(case, store, effort, Path(folder), say)
        rows = rows_of(case)
        for stale in store.rows(case.id).keys() - {row.name for row in rows}:
            del store.rows(case.id)[stale]
        for row in sorted(rows, key=lambda row: not row.is_main):
            if not only or any(text in row.name for text in only):
                measuring.measure(row)


@dataclass(frozen=True, eq=False)
class _Chosen:
    """The networks of both halves, and the bytes of flash that they were told are missing."""

    networks: tuple[Network, Network]
    missing: int


class _Measuring:
    """Of one network."""

    def __init__(self, case: Case, store: Store, effort: Effort, folder: Path, say: Say) -> None:
        self.case, self.store, self.effort, self.folder, self.say = case, store, effort, folder, say
        self.programs = store.path.with_name(f"{store.path.stem}-programs")
        self.board = load_board(BOARD)
        self.ample = load_board(with_more_flash(BOARD, folder))
        self.source = source_digest()

    def measure(self, row: Row) -> None:
        """One row, unless it is known."""
        key = self._key(row)
        old = self.store.rows(self.case.id).get(row.name, {})
        is_known = old.get("key") == key and (
            old["source"] == self.source or (self.effort.keeps_older and "problem" not in old)
        )
        lacks_cycles = self.effort.is_emulated and row.is_emulated and not {"emulated", "problem"} & old.keys()
        is_planned = old.get("planned_with", self.source) == self.source or not self._program_file(key).is_file()
        if is_known and is_planned and not lacks_cycles:
            return
        self.say(f"{self.case.id}: {row.name}" + (" (plan)" if is_known and not is_planned else ""))
        try:
            entry = self._entry(row, key, old if is_known else None)
        except UsageError:
            raise
        except QuantMCUError as error:
            entry = {"key": key, "source": self.source, "commit": source_commit(), "problem": str(error)}
        self.store.put(self.case.id, row.name, entry)

    def _entry(self, row: Row, key: str, old: Entry | None) -> Entry:
        """Planned again where the program is kept and still fits; else measured."""
        if old is not None and self._program_file(key).is_file():
            try:
                return old | self._planned_again(row, key)
            except FlashOverflowError:
                self.say("  it does not fit any more: bits are chosen again")
        return {"key": key, "source": self.source, "commit": source_commit(), **self._measured(row, key)}

    def _program_file(self, key: str) -> Path:
        return self.programs / f"{self.case.id}-{key}.npz"

    def _key(self, row: Row) -> str:
        images = [(path.name, path.stat().st_size) for path in sorted(self.case.images.glob("*"))]
        images.append((self.case.images.name, self.case.images.stat().st_size))
        model = hashlib.sha256(self.case.model.read_bytes()).hexdigest()
        asked = replace(row, is_main=False, is_emulated=False)
        parts = model, images, self.effort.calibration, self.effort.evaluation, BOARD, changes(asked)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def _measured(self, row: Row, key: str) -> Entry:
        """Everything of a row; of one that is planned, of the network that fits once it is linked."""
        if not row.is_planned:
            networks, costs = self._networks(row).networks, Entry()
            assert not isinstance(networks[0], DividedNetwork)
            by_layer = bitops_as_planned(networks[0].program, self._eight_bits)
            costs["costs"] = described_bitops(by_layer, self._stage_layers)
        else:
            chosen, costs = build_to_fit(
                self._networks(row),
                lambda chosen: self._planned(row, self._plan(row, chosen)),
                lambda missing: self._networks(row, missing),
                lambda chosen: self._plan(row, chosen).emitted.files,
            )
            networks = chosen.networks
        first = networks[0]
        if isinstance(first, DividedNetwork):
            costs["costs"]["outlier_share"] = first.division.share
        elif row.is_planned:
            self.programs.mkdir(parents=True, exist_ok=True)
            save_program(first.program, self._program_file(key))
        halves = zip(self.halves, networks, strict=True)
        return {"halves": [self._evaluated(row, half, network) for half, network in halves]} | costs

    def _networks(self, row: Row, missing: int = 0) -> _Chosen:
        first, second = self.halves
        return _Chosen((first.choose(row, missing), second.choose(row, missing)), missing)

    def _plan(self, row: Row, chosen: _Chosen) -> Planned:
        """Of the first half's network."""
        network = chosen.networks[0]
        if isinstance(network, DividedNetwork):
            return plan_divided(network, self.board)  # its division knows what is missing
        return plan_program(network.program, self.board, self.ample, row.patches, chosen.missing)

    def _planned(self, row: Row, plan: Planned) -> Entry:
        entry: Entry = {"planned_with": self.source, "costs": plan.describe(self._stage_layers)}
        if self.effort.is_emulated and row.is_emulated:
            entry["emulated"] = self._emulated(row, plan)
        return entry

    def _planned_again(self, row: Row, key: str) -> Entry:
        program = load_program(self._program_file(key))
        return self._planned(row, plan_program(program, self.board, self.ample, row.patches))

    def _evaluated(self, row: Row, half: Half, network: Network) -> Entry:
        digest = half.digest(row, network)
        known = self.store.evaluation(self.case.id, digest)
        return known or {"digest": digest, **half.evaluate(row, network).as_json()}

    @cached_property
    def _stage_layers(self) -> frozenset[str]:
        """The layers in the stage."""
        about = self.store.about(self.case.id)
        if "stage_layers" not in about:
            calibration = [len(half.calibration) for half in self.halves]
            images = sum(len(half.evaluation) for half in self.halves)
            about |= {"board": BOARD, "calibration": calibration, "images": images}
            about["stage_layers"] = sorted(self.halves[0].stage_layers)
        return frozenset(about["stage_layers"])

    def _emulated(self, row: Row, plan: Planned) -> Entry:
        is_dynamic = row.classes is not None and row.classes.mode == "dynamic"
        samples = self.halves[0].evaluation.take(DYNAMIC_SAMPLES if is_dynamic else 1)
        digest = firmware_digest(plan, samples)
        cycles = self.store.emulated(self.case.id, digest)
        if cycles is None:
            cycles = emulated_cycles(plan, samples, self.folder / digest)
        return {"digest": digest, "cycles": cycles, "images": len(samples)}

    @cached_property
    def _eight_bits(self) -> dict[str, float]:
        """BitOPs by layer of the board's own plan for 8 bits."""
        return bitops_by_layer(self._plan(EIGHT_BITS, self._networks(EIGHT_BITS)).selections)

    @cached_property
    def halves(self) -> tuple[Half, Half]:
        """Even images calibrate for the odd ones, and the other way round."""
        original = simplify(load_onnx(read_network(self.case.model)))
        specs = input_specs(original)
        folder = self.case.open_images(self.folder)
        images = open_dataset(folder, specs, load_preprocess(self.case.preprocess, specs[0]))
        labels = labels_of(images, folder)
        even, odd = range(0, len(images), 2), range(1, len(images), 2)
        first = self._half(0, original, images, labels, even, odd)
        return first, self._half(1, original, images, labels, odd, even)

    def _half(
        self, number: int, original: Graph, images: Dataset, labels: Sequence[int], chosen: range, others: range
    ) -> Half:
        most = self.effort.evaluation
        measured = others if most is None else [others[index * len(others) // most] for index in range(most)]
        calibration = Subset(images, chosen).take(self.effort.calibration)
        evaluation = Subset(images, measured)
        stage = patched(self.case)
        return Half(number, original, calibration, evaluation, [labels[i] for i in measured], self.board, stage)


def changes(request: Any) -> Any:
    """Of a dataclass: its type and the fields that differ from their defaults, so that a new field changes nothing."""
    if not is_dataclass(request):
        return request
    found = {f.name: getattr(request, f.name) for f in fields(request) if getattr(request, f.name) != f.default}
    return type(request).__name__, {name: changes(value) for name, value in found.items()}


def labels_of(images: Dataset, folder: Path) -> list[int]:
    """Labels of the data, else the numbers that the files' names start with (`0012_n01530575.jpg`).

    Raises:
        UsageError: there are neither.
    """
    if images.labels is not None:
        return [int(label) for label in images.labels]
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    matches = [re.match(r"\d+(?=_)", file.name) for file in files]
    if not all(matches):
        raise UsageError("the images have no labels", str(folder), hint="one folder a class, or names such as 12_x.jpg")
    return [int(match[0]) for match in matches if match]
