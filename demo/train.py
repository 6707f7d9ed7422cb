"""Train, evaluate and export the QuantMCU demo model: a small MobileNetV2-like CIFAR-10 classifier.

One run of this script produces everything in this folder except itself and its parts in training/: the ONNX model, the
preprocessing file, the evaluation, the shipped images, the calibration set, the training log and the README
(every figure in the README is filled in here from what was measured).

    python train.py --data /path/with/train.tar/and/test-dev.tar --out .

To measure only the accuracy of an already exported model (Pillow preprocessing, onnxruntime):

    python train.py --data /path/with/train.tar/and/test-dev.tar --out . --evaluate-only

No choice depends on test-dev: progress is judged on images held out of the training set, and the weights exported are
those after the last epoch.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import torch
from training.data import (
    CALIBRATION_PER_CLASS,
    SCALE,
    SHIPPED_PER_CLASS,
    decode,
    read_tar,
    write_images,
    write_preprocess,
)
from training.evaluation import MODEL_NAME, evaluate, export
from training.network import Net, describe
from training.optimization import RECIPE, keep_freed_memory, train
from training.readme import write_readme


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tar and test-dev.tar")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where everything is written")
    parser.add_argument(
        "--run", nargs="+", default=RECIPE, help="training runs, each 'size[/crop]:epochs,...@peak lr[@stop after]'"
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--weight-decay", type=float, default=2e-4)
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--average-decay", type=float, default=0.998, help="of the moving average of the weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes with one thread each")
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoint.pt"), help="where the weights are left")
    parser.add_argument(
        "--from-checkpoint", action="store_true", help="do not train, export the checkpoint; --out has its training.log"
    )
    parser.add_argument("--evaluate-only", action="store_true", help="only measure the model already in --out")
    return parser.parse_args()


def main() -> None:
    """Train, export, evaluate, and write everything down."""
    args = parse_arguments()
    keep_freed_memory()
    torch.set_num_threads(args.workers)
    args.out.mkdir(parents=True, exist_ok=True)
    test_files = read_tar(args.data / "test-dev.tar")
    if args.evaluate_only:
        print(json.dumps(evaluate(args.out, test_files), indent=2))
        return

    rows = describe(Net())
    parameters, macs = sum(int(r["parameters"]) for r in rows), sum(int(r["macs"]) for r in rows)
    train_files = read_tar(args.data / "train.tar")
    images, targets = decode(train_files)
    pixels = images.float().mul_(SCALE)
    mean = pixels.mean(dim=(0, 2, 3)).mul(1e4).round().div(1e4)
    std = pixels.std(dim=(0, 2, 3)).mul(1e4).round().div(1e4)
    del pixels
    if not args.from_checkpoint:
        (args.out / "training.log").unlink(missing_ok=True)
        train(args, (images, targets, mean, std))
    net = Net()
    net.load_state_dict(torch.load(args.checkpoint))

    write_preprocess(args.out / "preprocess.toml", mean, std)
    export(net, args.out / MODEL_NAME)
    write_images(args.out / "images", test_files, SHIPPED_PER_CLASS)
    write_images(args.out / "calibration", train_files, CALIBRATION_PER_CLASS)
    result = evaluate(args.out, test_files)
    seconds = [float(v) for v in re.findall(r"^epoch .* ([0-9.]+) s ", (args.out / "training.log").read_text(), re.M)]
    result |= {
        "parameters": parameters,
        "macs": macs,
        "onnx_bytes": (args.out / MODEL_NAME).stat().st_size,
        "epochs": len(seconds),
        "training_minutes": round(sum(seconds) / 60.0, 1),
        "layers": rows,
    }
    (args.out / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    write_readme(args.out / "README.md", args, result)
    print(f"test-dev: {result['accuracy']:.4f} ({result['correct']} of {result['n']})")


if __name__ == "__main__":
    main()
