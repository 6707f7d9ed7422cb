"""The demonstration: a trained network that QuantMCU ships, compiled and run on photographs that it ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantmcu.data import ImageFolder, input_specs, load_preprocess
from quantmcu.errors import ToolError
from quantmcu.frontend import load_onnx
from quantmcu.measurement import measure_result
from quantmcu.pipeline import compile_model
from quantmcu.progress import Progress
from quantmcu.quant.accuracy import predicted_class
from quantmcu.request import CompileRequest
from quantmcu.resources import data_folder
from quantmcu.results import Result
from quantmcu.validation import SampleOutcome, validate_result

MODEL = "cifar10_mobilenetv2.onnx"
BOARD = "nucleo-f767"
_RUNS = 3


@dataclass(frozen=True)
class DemoImage:
    """What the firmware made of one photograph.

    Attributes:
        name: of the file.
        shown, recognised: classes.
        score: of the recognised class: softmax of the outputs, 0 to 1.
    """

    name: str
    shown: str
    recognised: str
    score: float


def run_demo(out: Path, *, toolchain: str, progress: Progress, on_image: Callable[[DemoImage], None]) -> Result:
    """Compiles the network, runs firmware.elf in the emulator on the photographs, and times it.

    Raises:
        ToolError: the installation is incomplete, or there is no compiler.
    """
    folder, model, preprocess = _parts()
    request = CompileRequest(model, BOARD, folder / "calibration", out, preprocess=preprocess, toolchain=toolchain)
    result = compile_model(request, progress)
    images = _images(model, preprocess, folder / "images")
    validate_result(
        result,
        data=folder / "images",
        on="emulator",
        progress=progress,
        on_sample=lambda outcome: on_image(_recognised(images, outcome)),
    )
    return measure_result(result, runs=_RUNS, progress=progress)


def _parts() -> tuple[Path, Path, Path]:
    """The demo's folder, model and preprocessing."""
    try:
        folder = data_folder("demo")
    except FileNotFoundError as error:
        raise ToolError("the demonstration is missing", why=str(error), hint="install quantmcu again") from error
    parts = folder / MODEL, folder / "preprocess.toml"
    for path in (*parts, folder / "images", folder / "calibration"):
        if not path.exists():
            raise ToolError("a part of the demonstration is missing", str(path), hint="install quantmcu again")
    return folder, *parts


def _images(model: Path, preprocess: Path, folder: Path) -> ImageFolder:
    spec = input_specs(load_onnx(model))[0]
    return ImageFolder(folder, spec, load_preprocess(preprocess, spec))


def _recognised(images: ImageFolder, outcome: SampleOutcome) -> DemoImage:
    scores = np.asarray(outcome.outputs[0], np.float64).ravel()
    shares = np.exp(scores - scores.max())
    winner = predicted_class(outcome.outputs[0])
    names = images.class_names
    assert names is not None
    assert outcome.label is not None
    share = float(shares[winner] / shares.sum())
    return DemoImage(images.path(outcome.index).name, names[outcome.label], names[winner], share)
