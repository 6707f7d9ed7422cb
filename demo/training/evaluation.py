"""Export to ONNX, and what the exported model gets right."""

from __future__ import annotations

import tomllib
from pathlib import Path

import onnx
import onnxruntime
import torch

from training.data import INPUT_SIZE, LABELS, SHIPPED_PER_CLASS, load_image
from training.network import Net

MODEL_NAME = "cifar10_mobilenetv2.onnx"


def export(net: Net, path: Path) -> None:
    """Write the ONNX file (opset 17, batch 1, BatchNorm folded by the exporter) and check it."""
    net.eval()
    sample = torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE)
    torch.onnx.export(
        net,
        (sample,),
        str(path),
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamo=False,
    )
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)


def evaluate(out: Path, files: dict[str, list[tuple[str, bytes]]]) -> dict[str, object]:
    """Top-1 of the exported model on all given images: Pillow preprocessing, onnxruntime, batch 1."""
    preprocess = tomllib.loads((out / "preprocess.toml").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(out / MODEL_NAME), options, providers=["CPUExecutionProvider"])
    per_class: dict[str, float] = {}
    shipped: dict[str, str] = {}
    correct = count = 0
    for number, label in enumerate(LABELS):
        hits = 0
        for index, (name, data) in enumerate(files[label]):
            (logits,) = session.run(["logits"], {"image": load_image(data, preprocess)})
            guess = int(logits.argmax())
            hits += guess == number
            if index < SHIPPED_PER_CLASS:
                shipped[f"{label}/{name}"] = LABELS[guess]
        per_class[label] = hits / len(files[label])
        correct, count = correct + hits, count + len(files[label])
    return {
        "accuracy": correct / count,
        "correct": correct,
        "n": count,
        "per_class": per_class,
        "shipped_images_correct": sum(path.split("/")[0] == guess for path, guess in shipped.items()),
        "shipped_images_prediction": shipped,
    }
