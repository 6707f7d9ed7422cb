"""Emitted C computes what the reference defines, on the host, under sanitizers, and is the same every time."""

from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from quantmcu.build.host import HostModel, SanitizedModel
from quantmcu.codegen.emit import emit_model
from quantmcu.codegen.identifiers import c_identifiers
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.select import select_kernels
from quantmcu.codegen.templates import c_comment, c_string
from quantmcu.codegen.timeline import memory_timeline
from quantmcu.memory.buffers import collect_buffers
from quantmcu.memory.planner import ArenaRegion, plan_memory
from quantmcu.reference import execute
from tests.programs import ProgramBuilder, any_builders
from tests.thorough import examples

CORES = {
    "m7": Core("cortex-m7", True, True),
    "m4": Core("cortex-m4", True, True),
    "m0plus": Core("cortex-m0plus", False, False),
}
RARELY = settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck))


def emitted(program, core="m7"):
    selections = select_kernels(program, CORES[core])
    timeline = memory_timeline(program, selections)
    regions = [ArenaRegion("fast", 4096), ArenaRegion("big", 2**26)]
    plan = plan_memory(collect_buffers(timeline), len(timeline.slots), regions)
    return emit_model(program, selections, timeline, plan)


def assert_bit_exact(runner, program, inputs):
    expected = execute(program, inputs)
    for name, got in zip(program.outputs, runner.infer([inputs[name] for name in program.inputs]), strict=True):
        np.testing.assert_array_equal(got, expected[name])


@RARELY
@given(builder=any_builders(), core=st.sampled_from(sorted(CORES)))
def test_random_programs_on_the_host(builder, core):
    assume(builder.steps)
    program = builder.program()
    with closing(HostModel(emitted(program, core).files, "-O0")) as model:
        for _ in range(3):
            assert_bit_exact(model, program, builder.inputs())


@pytest.mark.slow
@settings(RARELY, max_examples=examples(12))
@given(builder=any_builders(), core=st.sampled_from(sorted(CORES)))
def test_random_programs_under_sanitizers(builder, core):
    assume(builder.steps)
    program = builder.program()
    with closing(SanitizedModel(emitted(program, core).files)) as model:
        assert_bit_exact(model, program, builder.inputs())


def example():
    builder = ProgramBuilder((16, 12, 3), seed=9)
    builder.conv(8)
    builder.depthwise()
    builder.head()
    return builder


def test_the_extreme_inputs_agree_too():
    program = example().program()
    with closing(HostModel(emitted(program).files)) as model:
        for code in (0, 120, 255):
            assert_bit_exact(model, program, {"input": np.full((1, 16, 12, 3), code, np.uint8)})


def test_generated_files_are_the_same_every_time_and_hold_no_paths():
    first, second = (emitted(example().program()).files for _ in range(2))
    assert first == second
    assert not any("/work" in text or "/tmp" in text or "/home" in text for text in first.values())


def test_only_the_kernels_in_use_are_copied():
    files = emitted(example().program()).files
    assert "kernels/softmax.c" in files
    assert "kernels/max_pool.c" not in files


def test_identifiers_are_unique_c_names():
    names = {"conv": "a", "Conv": "b", "conv/1": "c", "1x1": "d", "int": "e", "x" * 99: "convolution_7", "ö": "f"}
    identifiers = c_identifiers(names)
    assert identifiers["Conv"] == "conv_2"
    assert identifiers["1x1"] == "n1x1"
    assert identifiers["int"] == "int_2"
    assert identifiers["x" * 99] == "convolution_7"
    assert len(set(identifiers.values())) == len(names)


def test_names_of_a_model_cannot_break_out_of_comments_or_strings():
    assert c_comment("a */ int x; /* b") == "a * / int x; / * b"
    assert c_string('a"b\\c\n') == 'a\\"b\\\\c\\012'
