"""quantmcu ops"""

from __future__ import annotations

from dataclasses import asdict

import quantmcu
from quantmcu.cli.command import command
from quantmcu.cli.output import Output
from quantmcu.report.listings import operators_table


@command
def ops_command(output: Output) -> None:
    """List the ONNX operators that can be compiled."""
    operators = quantmcu.ops()
    output.show([asdict(operator) for operator in operators], operators_table(operators))
