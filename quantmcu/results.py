"""The result of a compilation and of what was measured on it: a folder with a result.json."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from quantmcu.atomic import write_text
from quantmcu.errors import UsageError
from quantmcu.targets import Board, load_board_file

SCHEMA = 1
FILE = "result.json"


@dataclass(frozen=True)
class LayerLatency:
    """Time of one step of the network: median of the warm runs.

    Attributes:
        name, kernel: of the step.
        macs: multiply-accumulates.
        cycles: of the core.
    """

    name: str
    kernel: str
    macs: int
    cycles: int

    @property
    def cycles_per_mac(self) -> float | None:
        """None for steps without multiply-accumulates."""
        return self.cycles / self.macs if self.macs else None


@dataclass(frozen=True)
class Latency:
    """What `measure` found.

    Attributes:
        source: "emulator", which estimates the core's cycles, or "device".
        cycles: of one inference, median of the warm runs.
        milliseconds: the same at the board's clock.
        band_milliseconds: where a board is expected, from the estimate's known error; None where nothing is known of
            it, or for a device.
        conditions: everything that the figure depends on.
        layers: by step; empty when it was measured without profile.
    """

    source: str
    cycles: int
    milliseconds: float
    band_milliseconds: tuple[float, float] | None
    conditions: dict[str, Any]
    layers: tuple[LayerLatency, ...]


@dataclass
class Result:
    """A compiled network on disk.

    Attributes:
        folder: where everything is.
        data: the content of result.json; results_schema.json says what each field means.
    """

    folder: Path
    data: dict[str, Any]

    @classmethod
    def load(cls, folder: Path | str) -> Result:
        """The result in `folder`.

        Raises:
            UsageError: there is none, or it is damaged or of another schema.
        """
        folder = Path(folder)
        path = folder / FILE
        again = "compile the model again"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            hint = "give the folder that `quantmcu compile --out` wrote"
            raise UsageError(f"no {FILE} here", str(folder), hint=hint) from error
        except OSError as error:
            raise UsageError(f"cannot read {FILE}", str(path), error.strerror or str(error)) from error
        except ValueError as error:
            raise UsageError(f"{FILE} is damaged", str(path), str(error), again) from error
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA:
            raise UsageError(f"{FILE} has schema {schema}, not {SCHEMA}", str(path), hint=again)
        problem = next(iter(_validator().iter_errors(data)), None)
        if problem is not None:
            raise UsageError(f"{FILE} is damaged", f"{path}: {problem.json_path}", problem.message, again)
        return cls(folder, data)

    def save(self) -> None:
        """Writes result.json, whole or not at all.

        Raises:
            ToolError: the folder can't be written, or the disk is full.
            ValueError: `data` breaks the schema: a mistake of the program, not of its user.
        """
        text = json.dumps(self.data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        problem = next(iter(_validator().iter_errors(json.loads(text))), None)
        if problem is not None:
            raise ValueError(f"{FILE}: {problem.json_path}: {problem.message}")
        write_text(self.folder / FILE, text)

    @property
    def model_name(self) -> str:
        """File name of the model."""
        return str(self.data["model"]["name"])

    @property
    def program_sha256(self) -> str:
        """What the firmware must say of itself."""
        return str(self.data["model"]["program_sha256"])

    @property
    def board_id(self) -> str:
        """Id of the board."""
        return str(self.data["board"]["id"])

    @property
    def board(self) -> Board:
        """The board, from the manifest that the project carries.

        Raises:
            UsageError: the project has lost it.
        """
        return load_board_file(self.folder / "platform" / "boards" / f"{self.board_id}.json")

    @property
    def elf(self) -> Path:
        """The firmware, as it is flashed and emulated.

        Raises:
            UsageError: it was not built.
        """
        path = self.folder / "firmware.elf"
        if not path.is_file():
            raise UsageError("no firmware.elf here", str(self.folder), hint="compile without --no-build")
        return path

    @property
    def latency(self) -> Latency | None:
        """What `measure` found, or None."""
        found = self.data.get("latency")
        if found is None:
            return None
        layers = tuple(
            LayerLatency(layer["name"], layer["kernel"], layer["macs"], layer["cycles"]) for layer in found["by_layer"]
        )
        band = found["band_ms"]
        return Latency(
            found["source"],
            found["cycles"],
            found["ms"],
            None if band is None else (band[0], band[1]),
            found["conditions"],
            layers,
        )

    @property
    def accuracy(self) -> dict[str, Any] | None:
        """What `validate` found of the accuracy, or None."""
        found = self.data.get("accuracy")
        return None if found is None else dict(found)

    @property
    def ram_bytes(self) -> int:
        """RAM in all: arenas, stack, data."""
        return int(self.data["memory"]["ram_total_bytes"])

    @property
    def flash_bytes(self) -> int | None:
        """Flash in all, or None before a build."""
        total = self.data["memory"]["flash_total_bytes"]
        return None if total is None else int(total)


def schema() -> dict[str, Any]:
    """The JSON schema of result.json, with what each field means."""
    text = Path(__file__).with_name("results_schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@functools.cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(schema())


__all__ = ["FILE", "SCHEMA", "Latency", "LayerLatency", "Result", "schema"]
