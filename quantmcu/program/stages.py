"""A patch stage: a part of the program that runs cell by cell over a grid, so that its large maps never exist whole.

The cells of a column of the grid run from top to bottom. A value may keep its last rows from one cell for the next
(they are
*carried*): then only the rows below them are computed. Without carrying, each cell computes all that it needs
(*recompute*).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from quantmcu.patch.region import Region
from quantmcu.program.program import Value
from quantmcu.program.steps import Step


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of the grid.

    Attributes:
        row, column: its place in the grid.
        values: local values by name, in this cell's shapes. A value that the cell doesn't need is missing.
        regions: of each local value, the part of the whole map that it is.
        carried: of local values, the number of rows at the top that come from an earlier cell of the column.
        kept: of local values, the number of rows at the bottom that a later cell of the column carries on.
        steps: by the name of the stage's step: the step cut down to what this cell computes anew. Missing where the
        cell
            computes nothing of it.
        results: for each output of the stage, the part of it that this cell writes.
    """

    row: int
    column: int
    values: Mapping[str, Value]
    regions: Mapping[str, Region]
    carried: Mapping[str, int]
    kept: Mapping[str, int]
    steps: Mapping[str, Step]
    results: Mapping[str, Region]

    def fresh(self, name: str) -> Value:
        """Local value `name` without the rows that are carried: what the cell computes or loads."""
        value = self.values[name]
        rows = value.shape[1] - self.carried.get(name, 0)
        return replace(value, shape=(1, rows, *value.shape[2:]))


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchStage(Step):
    """Runs `cells` in order.

    `inputs` are whole maps of the program, read in rectangles; `outputs` are whole maps, written in rectangles
    (`output` is the first of them).

    Attributes:
        outputs: values of the program that the stage writes.
        order: names of the steps, in the order in which each cell runs them.
        grid: rows and columns of cells.
        carrying: names of the values that carry rows.
    """

    outputs: tuple[str, ...]
    order: tuple[str, ...]
    cells: tuple[Cell, ...]
    grid: tuple[int, int]
    carrying: frozenset[str]
