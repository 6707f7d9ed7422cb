"""Terminal tables of a model that is not compiled yet."""

from __future__ import annotations

from rich.table import Table

from quantmcu.inspection import Inspection
from quantmcu.report.shortened import Shortened
from quantmcu.report.tables import facts_table, plain_table
from quantmcu.report.text import count, shape, size


def inspection_layers(inspection: Inspection) -> Table:
    """One row an operator of the simplified network."""
    table = plain_table("Layer", "=Operator", ">Output", ">MACs", ">Params", ">Live")
    for layer in inspection.layers:
        table.add_row(
            Shortened(layer.name),
            layer.operator,
            shape(list(layer.output_shape)),
            count(layer.macs) if layer.macs else "",
            count(layer.parameters) if layer.parameters else "",
            size(layer.live_bytes),
        )
    return table


def inspection_summary(inspection: Inspection) -> Table:
    """The model in a few lines."""
    operators = ", ".join(f"{number} {name}" for name, number in inspection.operators.items())
    facts = [("model", f"{inspection.name}, opset {inspection.opset}"), ("operators", operators)]
    if inspection.layers:
        facts += [
            ("inputs", ", ".join(f"{port.name} {shape(list(port.shape))}" for port in inspection.inputs)),
            ("outputs", ", ".join(f"{port.name} {shape(list(port.shape))}" for port in inspection.outputs)),
            ("work", f"{count(inspection.macs)} MACs, {count(inspection.parameters)} parameters"),
            (
                "simplified",
                f"{count(inspection.simplified_macs)} MACs, {count(inspection.simplified_parameters)} parameters",
            ),
            ("memory peak", f"{size(inspection.peak_bytes)} of feature maps at 8 bits, in {inspection.peak_layer}"),
        ]
    return facts_table(facts)
