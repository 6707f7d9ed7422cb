"""What fewer bits cost: outputs of the network against those of the float one, beside 8 bits."""

from __future__ import annotations

from typing import Any

from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.workspace import Workspace
from quantmcu.held_out import HeldOut
from quantmcu.quant import AccuracyReport
from quantmcu.quant.reconstruct import held_back

MEASURED_SAMPLES = 32
"""Calibration samples on which it is measured."""


def measured_cost(workspace: Workspace, network: QuantizedNetwork) -> dict[str, Any]:
    """Signal to noise ratio of the noisiest output (decibels) and share of equal classes, with these bits and with 8.

    By ONNX Runtime on the QDQ form, which is within a code of the integers in each layer. The samples have calibrated
    the network: on others it does a little worse. Where it was reconstructed, they are those not learned from.
    """
    samples = workspace.dataset.take(workspace.calibration.samples)
    samples = (held_back(samples) if "reconstruction" in network.search else samples).take(MEASURED_SAMPLES)
    held_out = HeldOut(workspace.graph, samples)
    chosen, eight = held_out.report(network.graph), held_out.report(workspace.quantized())
    return {
        "samples": len(samples),
        "sqnr_db": _noise(chosen),
        "sqnr_db_of_8_bits": _noise(eight),
        "agreement": chosen.agreement,
        "agreement_of_8_bits": eight.agreement,
    }


def _noise(report: AccuracyReport) -> float | None:
    found = min((output.sqnr_db for output in report.outputs if output.sqnr_db is not None), default=None)
    return None if found is None else round(found, 2)
