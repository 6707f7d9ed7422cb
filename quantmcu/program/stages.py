"""A patch stage: a part of the program that runs cell by cell over a grid, so that its large maps never exist whole.

Cells run column by column of the grid, each column from top to bottom. A value may keep its last rows from one cell
for the next, and its last columns from one column of cells for the next (they are *carried*): then only what lies
below and right of them is computed. Without carrying, each cell computes all that it needs (*recompute*).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.patch.region import Region
from quantmcu.program.added_names import outlier_test_name
from quantmcu.program.program import Value
from quantmcu.program.steps import DetectOutliers, Step


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of the grid.

    Attributes:
        row, column: its place in the grid.
        values: local values by name, in this cell's shapes. A value that the cell doesn't need is missing.
        regions: of each local value, the part of the whole map that it is.
        carried: of local values, the number of rows at the top that come from an earlier cell of the column, and of
            columns at the left that come from an earlier column.
        kept: of local values, the number of rows at the bottom that a later cell of the column carries on, and of
            columns at the right that a later column does.
        steps: by the name of the stage's step: the step cut down to what this cell computes anew. Missing where the
            cell computes nothing of it.
        results: for each output of the stage, the part of it that this cell writes.
    """

    row: int
    column: int
    values: Mapping[str, Value]
    regions: Mapping[str, Region]
    carried: Mapping[str, tuple[int, int]]
    kept: Mapping[str, tuple[int, int]]
    steps: Mapping[str, Step]
    results: Mapping[str, Region]

    def fresh(self, name: str) -> Value:
        """Local value `name` without the rows and columns that are carried: what the cell computes or loads."""
        value = self.values[name]
        rows, columns = self.carried.get(name, (0, 0))
        return replace(value, shape=(1, value.shape[1] - rows, value.shape[2] - columns, value.shape[3]))


@dataclass(frozen=True)
class OutlierTest:
    """Decides at run time, from the codes of a stage's input, which of its two branches a cell runs.

    Attributes:
        tensor: the input that is tested, in the cell's region of it.
        low, high: codes outside of low .. high are outliers.
        fraction: more than this share of outliers makes a cell one of the outlier class.
    """

    tensor: str
    low: int
    high: int
    fraction: float = 0.0

    def is_outlier(self, codes: NDArray[np.uint8]) -> bool:
        """Whether a patch with these codes is of the outlier class."""
        count = int(((codes < self.low) | (codes > self.high)).sum())
        return count > self.fraction * codes.size

    def step(self, stage: str, cell: Cell) -> DetectOutliers:
        """The test of a cell of `stage`, on its local values: writes the code 1 for the outlier class, else 0."""
        return DetectOutliers(
            name=outlier_test_name(stage, self.tensor),
            inputs=(self.tensor,),
            output=f"{stage}: is outlier",
            low=self.low,
            high=self.high,
            limit=int(self.fraction * cell.values[self.tensor].elements),
        )


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
        carrying_columns: names of those that carry columns too.
        narrow_cells: what the cells that are not of the outlier class run instead of `cells`; same grid, same steps
            with the same weights, other integers and bits of local values. Empty where there are no classes. Nothing is
            carried between cells of two classes, since their scales differ.
        classes: with narrow cells: the test that decides about a cell at run time, or by cell whether it is of the
            outlier class.
    """

    outputs: tuple[str, ...]
    order: tuple[str, ...]
    cells: tuple[Cell, ...]
    grid: tuple[int, int]
    carrying: frozenset[str]
    carrying_columns: frozenset[str] = frozenset()
    narrow_cells: tuple[Cell, ...] = ()
    classes: OutlierTest | tuple[bool, ...] = ()

    @property
    def branches(self) -> tuple[Cell, ...]:
        """What may run: one entry a cell.

        Where the class is decided at run time, all cells of the outlier class, then those of the other one.
        """
        if isinstance(self.classes, OutlierTest):
            return (*self.cells, *self.narrow_cells)
        if not self.narrow_cells:
            return self.cells
        pairs = zip(self.cells, self.narrow_cells, self.classes, strict=True)
        return tuple(wide if is_outlier else narrow for wide, narrow, is_outlier in pairs)
