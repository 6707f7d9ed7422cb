"""The README of the demo, filled in from what was measured."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import torch

from training.data import CALIBRATION_PER_CLASS, HELD_OUT_PER_CLASS, LABELS, SHIPPED_PER_CLASS

TEMPLATE = Path(__file__).with_name("README.md.in")


def write_readme(path: Path, args: argparse.Namespace, result: dict[str, Any]) -> None:
    """Fill the README from the measured figures."""
    lines = []
    for r in result["layers"]:
        shape = "x".join(str(v) for v in r["output"])
        lines.append(f"| {r['name']} | {r['what']} | {shape} | {r['parameters']:,} | {r['macs']:,} |")
    p = result["accuracy"]
    command = f"--seed {args.seed} --run {' '.join(args.run)} \\\n        --batch {args.batch}"
    command += f" --weight-decay {args.weight_decay} --label-smoothing {args.label_smoothing} \\\n       "
    command += f" --average-decay {args.average_decay} --workers {args.workers}"
    held = HELD_OUT_PER_CLASS * len(LABELS)
    path.write_text(
        TEMPLATE.read_text().format(
            parameters=result["parameters"],
            macs=result["macs"],
            mmacs=result["macs"] / 1e6,
            size=result["onnx_bytes"],
            n=result["n"],
            accuracy=p,
            correct=result["correct"],
            shipped=result["shipped_images_correct"],
            shipped_n=SHIPPED_PER_CLASS * len(LABELS),
            shipped_per_class=SHIPPED_PER_CLASS,
            calibration_n=CALIBRATION_PER_CLASS * len(LABELS),
            calibration_per_class=CALIBRATION_PER_CLASS,
            error=100.0 * math.sqrt(p * (1.0 - p) / result["n"]),
            table="\n".join(lines),
            command=command,
            torch=torch.__version__,
            workers=args.workers,
            seed=args.seed,
            minutes=result["training_minutes"],
            trained=50_000 - held,
            held_note=f"; {held:,} ({HELD_OUT_PER_CLASS} a class, the last ones) held out",
            runs=", then ".join(f"`{text}`" for text in args.run),
            epochs=result["epochs"],
            batch=args.batch,
            wd=args.weight_decay,
            ls=args.label_smoothing,
            ema=args.average_decay,
        )
    )
