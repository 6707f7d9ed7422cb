"""plan.branches of result.json: what each patch runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quantmcu.branch_data import describe_branches
from quantmcu.patch.classes import with_dynamic_classes, with_static_classes
from quantmcu.patch.stage import StagePlan, split_program
from quantmcu.program.program import Program
from quantmcu.program.stages import OutlierTest
from tests.programs import ProgramBuilder


@pytest.fixture(scope="module")
def branches() -> tuple[Program, Program]:
    """Two 8-bit convolutions in 2x1 patches; and with the map between them at 4 bits."""
    builder = ProgramBuilder((8, 8, 3), seed=1)
    inner = builder.conv(4)
    builder.conv(4)
    program = builder.program()
    values = {**program.values, inner: replace(program.values[inner], bits=4)}
    plans = [StagePlan(builder.steps[-1].name, (2, 1))]
    return split_program(program, plans), split_program(replace(program, values=values), plans)


def rows(program: Program, shares: tuple[float, ...] = ()) -> list[tuple[object, ...]]:
    described = describe_branches(program, shares)
    assert {entry["stage"] for entry in described} == {"convolution_1"}
    assert all(set(entry["bits"]) == {"input", "convolution_0_out", "convolution_1_out"} for entry in described)
    return [(e["row"], e["column"], e["class"], e["share"], e["bits"]["convolution_0_out"]) for e in described]


def test_without_classes(branches: tuple[Program, Program]) -> None:
    assert rows(branches[1]) == [(0, 0, "all", 1.0, 4), (1, 0, "all", 1.0, 4)]


def test_static_classes_have_one_branch_a_cell(branches: tuple[Program, Program]) -> None:
    mixed = with_static_classes(*branches, [False, True])
    assert rows(mixed) == [(0, 0, "narrow", 1.0, 4), (1, 0, "outlier", 1.0, 8)]


def test_dynamic_classes_have_two_and_how_often_they_run(branches: tuple[Program, Program]) -> None:
    mixed = with_dynamic_classes(*branches, OutlierTest("input", 0, 200))
    assert rows(mixed, (0.25, 1.0)) == [
        (0, 0, "outlier", 0.25, 8),
        (0, 0, "narrow", 0.75, 4),
        (1, 0, "outlier", 1.0, 8),
        (1, 0, "narrow", 0.0, 4),
    ]
