"""Properties of the memory planner."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantmcu.memory.buffers import Buffer, Tenant, live_bytes
from quantmcu.memory.planner import ALIGNMENT, ArenaRegion, DoesNotFitError, plan_memory

STEPS = 12


def one(name, nbytes, first, last):
    """A buffer with one array."""
    return Buffer((Tenant(name, nbytes, first, last),))


@st.composite
def buffers(draw):
    """Up to three arrays, each of which takes over the memory of the one before."""
    tenants, first = [], draw(st.integers(0, STEPS - 1))
    for name in draw(st.sampled_from(("a", "ab", "abc"))):
        last = draw(st.integers(first, STEPS - 1))
        tenants.append(Tenant(name, draw(st.integers(1, 5000)), first, last))
        first = last
    return Buffer(tuple(tenants))


@given(st.lists(buffers(), min_size=1, max_size=12))
def test_bytes_in_use_at_the_same_time_are_never_shared(items):
    plan = plan_memory(items, STEPS, [ArenaRegion("fast", 9000), ArenaRegion("big", 10**6)])
    for i, (a, place_a) in enumerate(zip(items, plan.placements, strict=True)):
        assert place_a.offset % ALIGNMENT == 0
        assert place_a.offset + a.nbytes <= plan.region_bytes[place_a.region]
        for b, place_b in list(zip(items, plan.placements, strict=True))[:i]:
            for slot in range(STEPS) if place_a.region == place_b.region else ():
                of_a, of_b = a.bytes_at(slot), b.bytes_at(slot)
                if of_a and of_b:
                    assert place_a.offset + of_a <= place_b.offset or place_b.offset + of_b <= place_a.offset


@given(st.lists(buffers(), min_size=1, max_size=12))
def test_what_lives_in_the_regions_is_all_that_lives(items):
    plan = plan_memory(items, STEPS, [ArenaRegion("fast", 9000), ArenaRegion("big", 10**6)])
    for step, live in enumerate(plan.live):
        by_region = plan.live_by_region(step)
        assert sum(by_region.values()) == live
        assert all(nbytes <= plan.region_bytes[name] for name, nbytes in by_region.items())


@given(st.lists(buffers(), min_size=1, max_size=12))
def test_no_plan_is_below_the_lower_bound_and_the_region_is_respected(items):
    plan = plan_memory(items, STEPS, [ArenaRegion("ram", 10**6)])
    assert plan.lower_bound == max(live_bytes(items, STEPS, ALIGNMENT))
    assert plan.arena_bytes >= plan.lower_bound
    assert plan.live[plan.peak_step] == plan.lower_bound


def test_a_chain_reaches_the_lower_bound():
    sizes = [3000, 9000, 4000, 8000, 200]
    chain = [one(f"v{i}", size, max(0, i - 1), i) for i, size in enumerate(sizes)]
    plan = plan_memory(chain, len(sizes), [ArenaRegion("ram", 10**6)])
    assert plan.arena_bytes == plan.lower_bound == 13000


def test_the_rest_of_a_large_array_is_free_once_a_small_one_has_taken_over():
    shrinking = Buffer((Tenant("large", 8000, 0, 1), Tenant("small", 1000, 1, 3)))
    plan = plan_memory([shrinking, one("later", 6000, 2, 3)], 4, [ArenaRegion("ram", 10**6)])
    assert plan.arena_bytes == plan.lower_bound == 8000
    assert plan.live == (8000, 8000, 7000, 7000)


def test_what_does_not_fit_says_how_much_is_needed():
    with pytest.raises(DoesNotFitError, match="5000 bytes live at once, 4096 are there") as caught:
        plan_memory([one("v", 5000, 0, 0)], 1, [ArenaRegion("ram", 4096)])
    assert caught.value.needed == 5000
    assert caught.value.peak_step == 0


def test_the_same_buffers_get_the_same_plan():
    items = [one(f"v{i}", 100 * (i % 7 + 1), i % 5, i % 5 + i % 3) for i in range(30)]
    region = [ArenaRegion("ram", 10**6)]
    assert plan_memory(items, 8, region).placements == plan_memory(items, 8, region).placements
