"""Programs as C, against the reference."""

import numpy as np

from quantmcu.build.host import HostModel
from quantmcu.codegen.emit import emit_model
from quantmcu.codegen.kernel import Core
from quantmcu.codegen.select import select_kernels
from quantmcu.codegen.timeline import memory_timeline
from quantmcu.memory.buffers import collect_buffers
from quantmcu.memory.planner import ArenaRegion, plan_memory
from quantmcu.reference import execute

CORE = Core("cortex-m7", True, True)


def emitted(program):
    selections = select_kernels(program, CORE)
    timeline = memory_timeline(program, selections)
    plan = plan_memory(collect_buffers(timeline), len(timeline.slots), [ArenaRegion("ram", 2**26)])
    return emit_model(program, selections, timeline, plan)


def assert_c_equals_reference(builder, patched, runner=HostModel):
    inputs = builder.inputs()
    expected = execute(builder.program(patched.outputs), inputs)
    with runner(emitted(patched).files, "-O0") as model:
        for _ in range(2):  # a second run finds other things in memory
            outputs = model.infer([inputs[name] for name in patched.inputs])
            for name, output in zip(patched.outputs, outputs, strict=True):
                np.testing.assert_array_equal(expected[name], output)
