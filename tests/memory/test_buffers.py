"""Which arrays share memory."""

from quantmcu.memory.buffers import collect_buffers, live_bytes, tenants_at
from quantmcu.memory.timeline import Slot, Timeline


def chain(sizes, in_place=()):
    """a -> b -> c ... with these sizes; slots whose index is in `in_place` may run in place."""
    names = [chr(ord("a") + index) for index in range(len(sizes))]
    slots = tuple(
        Slot(f"slot{i}", (names[i],), (names[i + 1],), (names[i],) if i in in_place else ())
        for i in range(len(names) - 1)
    )
    spans = {names[0]: (0, 0), names[-1]: (len(slots) - 1, len(slots) - 1)}
    return Timeline(slots, dict(zip(names, sizes, strict=True)), spans)


def groups(timeline):
    return sorted(buffer.values for buffer in collect_buffers(timeline))


def peak(timeline):
    return max(live_bytes(collect_buffers(timeline), len(timeline.slots), 1))


def test_equal_sizes_join_in_place():
    assert groups(chain([100, 100, 50], in_place={0})) == [("a", "b"), ("c",)]


def test_a_small_map_does_not_keep_the_memory_of_a_large_one():
    timeline = chain([276, 184, 184, 368], in_place={0, 1})
    assert groups(timeline) == [("a", "b", "c"), ("d",)]
    assert peak(timeline) == 184 + 368
    assert live_bytes(collect_buffers(timeline), 3, 1) == [276, 184, 184 + 368]


def test_the_peak_names_the_arrays_that_live_then():
    buffers = collect_buffers(chain([276, 184, 184, 368], in_place={0, 1}))
    assert [(tenant.name, tenant.nbytes) for tenant in tenants_at(buffers, 2)] == [("d", 368), ("c", 184)]


def test_what_is_read_later_is_not_overwritten():
    slots = (Slot("first", ("a",), ("b",), ("a",)), Slot("add", ("b", "a"), ("c",), ("b", "a")))
    timeline = Timeline(slots, {"a": 10, "b": 10, "c": 10}, {"a": (0, 0), "c": (1, 1)})
    assert groups(timeline) == [("a",), ("b", "c")]


def test_an_operand_used_twice_is_not_overwritten():
    slots = (Slot("square", ("a", "a"), ("b",), ("a",)),)
    assert groups(Timeline(slots, {"a": 10, "b": 10}, {"a": (0, 0), "b": (0, 0)})) == [("a",), ("b",)]


def test_constants_need_no_memory_and_scratch_lives_for_its_slot():
    slots = (Slot("conv", ("a", "weights"), ("b",), (), 64), Slot("next", ("b",), ("c",)))
    buffers = collect_buffers(Timeline(slots, {"a": 1, "b": 2, "c": 3}, {"a": (0, 0), "c": (1, 1)}))
    (scratch,) = [b for b in buffers if b.scratch_of is not None]
    assert (scratch.first, scratch.last, scratch.nbytes, scratch.scratch_of) == (0, 0, 64, 0)
    assert not any("weights" in buffer.values for buffer in buffers)
