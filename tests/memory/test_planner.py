"""Properties of the memory planner."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantmcu.memory.buffers import Buffer, live_bytes
from quantmcu.memory.planner import ALIGNMENT, ArenaRegion, DoesNotFitError, plan_memory

STEPS = 12


@st.composite
def buffers(draw):
    first = draw(st.integers(0, STEPS - 1))
    return Buffer(("v",), draw(st.integers(1, 5000)), first, draw(st.integers(first, STEPS - 1)))


@given(st.lists(buffers(), min_size=1, max_size=12))
def test_buffers_that_live_together_never_share_a_byte(items):
    plan = plan_memory(items, STEPS, [ArenaRegion("fast", 9000), ArenaRegion("big", 10**6)])
    for i, (a, place_a) in enumerate(zip(items, plan.placements, strict=True)):
        assert place_a.offset % ALIGNMENT == 0
        assert place_a.offset + a.nbytes <= plan.region_bytes[place_a.region]
        for b, place_b in list(zip(items, plan.placements, strict=True))[:i]:
            if a.overlaps(b) and place_a.region == place_b.region:
                assert place_a.offset + a.nbytes <= place_b.offset or place_b.offset + b.nbytes <= place_a.offset


@given(st.lists(buffers(), min_size=1, max_size=12))
def test_no_plan_is_below_the_lower_bound_and_the_region_is_respected(items):
    plan = plan_memory(items, STEPS, [ArenaRegion("ram", 10**6)])
    assert plan.lower_bound == max(live_bytes(items, STEPS, ALIGNMENT))
    assert plan.arena_bytes >= plan.lower_bound
    assert plan.live[plan.peak_step] == plan.lower_bound


def test_a_chain_reaches_the_lower_bound():
    sizes = [3000, 9000, 4000, 8000, 200]
    chain = [Buffer((f"v{i}",), size, max(0, i - 1), i) for i, size in enumerate(sizes)]
    plan = plan_memory(chain, len(sizes), [ArenaRegion("ram", 10**6)])
    assert plan.arena_bytes == plan.lower_bound == 13000


def test_what_does_not_fit_says_how_much_is_needed():
    with pytest.raises(DoesNotFitError, match="5000 bytes live at once, 4096 are there") as caught:
        plan_memory([Buffer(("v",), 5000, 0, 0)], 1, [ArenaRegion("ram", 4096)])
    assert caught.value.needed == 5000
    assert caught.value.peak_step == 0


def test_the_same_buffers_get_the_same_plan():
    items = [Buffer((f"v{i}",), 100 * (i % 7 + 1), i % 5, i % 5 + i % 3) for i in range(30)]
    region = [ArenaRegion("ram", 10**6)]
    assert plan_memory(items, 8, region).placements == plan_memory(items, 8, region).placements
