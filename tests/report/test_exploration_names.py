"""Table and picture of what `quantmcu explore` finds: which choice is suggested, names that can be read."""

from __future__ import annotations

from itertools import combinations
from typing import Any
from xml.etree import ElementTree

from rich.console import Console

from quantmcu.report.exploration import exploration_summary, render_exploration

SVG = "{http://www.w3.org/2000/svg}"
FAMILY_OF = {"auto": "weights", "0.9": "vdqs", "0.8": "vdqs", "0.7": "vdqs", "1.5": "together", "2": "together"}


def found(values: dict[str, tuple[float, float]], metric: str = "agreement", samples: int = 100) -> dict[str, Any]:
    """An exploration of choices with these BitOPs and accuracies; all of them unbeaten."""
    points = [
        {
            "family": FAMILY_OF[name],
            "label": f"weights {name}" if name == "auto" else name,
            "setting": None if name == "auto" else float(name),
            "options": f"--choice {name}",
            "bitops": round(bitops * 1e9),
            "bitops_reduction": 8 / bitops,
            "ms": 60 * bitops,
            "arena_bytes": 1,
            "constant_bytes": 1,
            "fits": True,
            "accuracy": {"top1": None, "agreement": accuracy, "sqnr_db": 10 * accuracy},
            "unbeaten_in_bitops": True,
            "unbeaten_in_cycles": True,
        }
        for name, (bitops, accuracy) in values.items()
    ]
    return {
        "model": "m.onnx", "board": "nucleo-f767", "metric": metric, "float": None, "samples": samples,
        "baseline_lambda": 0.6, "bitops_of_8_bit_recompute": 8_000_000_000, "points": points,
    }  # fmt: skip


CLOSE = {"auto": (5.96, 0.88), "1.5": (5.66, 0.88), "0.9": (5.6, 0.85), "0.8": (5.2, 0.82), "0.7": (4.48, 0.806),
         "2": (4.46, 0.806)}  # fmt: skip


def test_names_at_the_marks_do_not_hide_each_other() -> None:
    root = ElementTree.fromstring(render_exploration(found(CLOSE)))
    for panel in root.findall(f"{SVG}g")[:2]:
        names = [text for text in panel.findall(f"{SVG}text") if text.get("font-size") == "11"]
        assert [name.text for name in names] == ["auto", "1.5 x", "λ 0.9", "λ 0.8", "λ 0.7", "2 x"]
        boxes = []
        for name in names:
            width, anchor = 6 * len(name.text or ""), name.get("text-anchor", "")
            left = float(name.get("x", "")) - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
            bottom = float(name.get("y", ""))
            boxes.append((left, bottom - 8, left + width, bottom))
        for a, b in combinations(boxes, 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def summary(explored: dict[str, Any]) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(exploration_summary(explored))
    return captured.get()


def test_suggests_the_fewest_bitops_that_are_as_accurate_as_can_be_told() -> None:
    """Standard error of 100 samples: 5 points; of 10,000: half a point."""
    wanted = "`quantmcu compile ... --choice 0.9`: the fewest BitOPs within 5.0 points of the best line"
    assert wanted in summary(found(CLOSE))
    assert "--choice 1.5`: the fewest BitOPs within 0.5 points" in summary(found(CLOSE, samples=10_000))
    assert "--choice 2`: the fewest BitOPs within 3 dB" in summary(found(CLOSE, "sqnr_db"))
