"""quantmcu inspect"""

from __future__ import annotations

from pathlib import Path

import quantmcu
from quantmcu.cli.command import command
from quantmcu.cli.options import MODEL
from quantmcu.cli.output import Output
from quantmcu.errors import ProblemListError, QuantMCUError
from quantmcu.report.inspection_tables import inspection_layers, inspection_summary


@command
@MODEL
def inspect_command(output: Output, model: Path) -> None:
    """Show what MODEL consists of, and what is unsupported."""
    inspection = quantmcu.inspect(model)
    tables = [inspection_summary(inspection)]
    if inspection.layers:
        tables.insert(0, inspection_layers(inspection))
    output.show(inspection.as_dict(), *tables)
    if inspection.problems:
        problems = [QuantMCUError(p["what"], p["where"], p["why"], p["hint"]) for p in inspection.problems]
        raise ProblemListError("the model cannot be compiled", problems, "`quantmcu ops` lists what is supported")
