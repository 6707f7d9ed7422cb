"""The picture of `quantmcu explore`: what is named, pale or below the axis."""

from __future__ import annotations

from typing import Any

from quantmcu.report.exploration import HEIGHT, render_exploration


def point(family: str, label: str, agreement: float, *, fits: bool = True, best: bool = False) -> dict[str, Any]:
    accuracy = {"top1": None, "agreement": agreement, "sqnr_db": 10.0}
    flags = {"unbeaten_in_bitops": best, "unbeaten_in_cycles": best, "fits": fits}
    costs = {"bitops": round(1e9 * agreement), "ms": 10 * agreement}
    return {"family": family, "label": label, "setting": None, "accuracy": accuracy, **costs, **flags}


def picture(*points: dict[str, Any]) -> str:
    found = {"model": "m", "board": "b", "metric": "agreement", "float": None, "samples": 9, "points": points}
    return render_exploration(found)


def test_bad_baselines_do_not_stretch_the_axis() -> None:
    eight, weights = point("8 bits", "8 bits", 0.95, fits=False), point("weights", "weights of 4 bits", 0.9, best=True)
    usual = picture(eight, weights, point("baseline", "random", 0.93))
    assert "line: what no other beats; pale: does not fit" in usual
    assert "lower edge" not in usual
    worse = picture(eight, weights, point("baseline", "random", 0.3))
    assert "at the lower edge: worse still" in worse
    assert f",{HEIGHT - 4}.0 l8,8" in worse, "the cross stands at the edge"
    assert "random: 300 M BitOPs, 3.00 ms, 30.0 %" in worse, "and says its figures"


def test_unbeaten_weights_are_named() -> None:
    text = picture(point("8 bits", "8 bits", 0.95), point("weights", "weights of 4 bits", 0.9, best=True))
    assert text.count(">4 bits</text>") == 2
