"""Reads ONNX files, with checks that protobuf does not make."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from quantmcu.errors import ProblemListError, QuantMCUError, UsageError

_EXPORT_HINT = "export the model again, for example with torch.onnx.export"


def read_model(path: Path) -> onnx.ModelProto:
    """The model in the file `path`, external data included.

    Raises:
        UsageError: the file is missing, unreadable or not an ONNX model.
        QuantMCUError: external data are missing or lie outside the model's folder.
    """
    if not path.exists():
        raise UsageError("there is no such file", str(path), hint="check the path of the model")
    if path.is_dir():
        raise UsageError("this is a folder, not a model", str(path), hint="give the path of the .onnx file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError("the file cannot be read", str(path), why=error.strerror or str(error)) from error
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, UnicodeDecodeError) as error:
        raise _not_onnx(
            path,
            f"its {len(content)} bytes do not decode as an ONNX model: it is truncated, damaged or of another format",
        ) from error
    if not model.HasField("graph") or not model.opset_import:
        raise _not_onnx(path, "it holds no graph or no operator set; it is empty, truncated or of another format")
    _load_external_data(model, path)
    return model


def _not_onnx(path: Path, why: str) -> UsageError:
    return UsageError("this is not a complete ONNX file", str(path), why, "copy or " + _EXPORT_HINT)


def external_tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Initializers and constants of the model whose values are in another file."""
    tensors = list(model.graph.initializer)
    tensors += [a.t for node in model.graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
    return [tensor for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL]


def _load_external_data(model: onnx.ModelProto, path: Path) -> None:
    problems: list[QuantMCUError] = []
    folder = path.resolve().parent
    external = external_tensors(model)
    for tensor in external:
        location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        file = (folder / location).resolve()
        if not location or not file.is_relative_to(folder):
            problems.append(
                QuantMCUError(
                    "its values lie outside the model's folder",
                    f"initializer {tensor.name}",
                    f"location = {location!r}",
                    "keep the data file beside the model and save the model with that relative location",
                )
            )
        elif not file.is_file():
            problems.append(
                QuantMCUError(
                    f"the file {location!r} with its values is missing",
                    f"initializer {tensor.name}",
                    "the model keeps its weights in a separate file",
                    f"copy {location} into the folder of {path.name}",
                )
            )
    if problems:
        raise ProblemListError(f"the external data of {path.name} cannot be used", problems)
    if external:
        try:
            onnx.load_external_data_for_model(model, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise QuantMCUError(
                "the external data cannot be read",
                str(path),
                str(error),
                "copy the data file again; it may be truncated",
            ) from error
