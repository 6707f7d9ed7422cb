"""Properties of the fixed-point arithmetic against exact rationals."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantmcu.program import linear_form, requantize_for

ratios = st.floats(1e-7, 1e3)
codes = st.integers(0, 255)


@given(ratio=ratios, accumulator=st.integers(-(2**31) + 1, 2**31 - 1), zero_point=codes)
def test_requantize_is_the_rounded_product_within_a_sixteenth_of_a_code(ratio, accumulator, zero_point):
    requantize = requantize_for([ratio], zero_point, 0, 255)
    got = int(requantize.apply(np.array([accumulator], np.int64))[0])
    exact = zero_point + Fraction(ratio) * accumulator
    clamped = min(max(exact, Fraction(0)), Fraction(255))
    # half a code of rounding, 0.0625 of the coarse multiplier, and what 32 bits can't resolve at tiny ratios
    resolution = Fraction(abs(accumulator), 2**33) + Fraction(1, 16) + Fraction(1, 2)
    assert abs(got - clamped) <= resolution


@given(ratio=ratios)
def test_large_multipliers_are_multiples_of_256_and_positive_int32(ratio):
    multiplier = int(requantize_for([ratio], 0, 0, 255).multiplier[0])
    assert 0 <= multiplier < 2**31
    assert multiplier < 2**19 or multiplier % 256 == 0


@given(accumulator=st.integers(-(2**22), 2**22), ratio=st.floats(1e-3, 0.49))
def test_requantize_equals_its_definition_in_python_integers(accumulator, ratio):
    requantize = requantize_for([ratio], 7, 3, 200)
    expected = min(max(7 + ((accumulator * int(requantize.multiplier[0]) + 2**31) >> 32), 3), 200)
    assert requantize.shift == 0
    assert int(requantize.apply(np.array([accumulator]))[0]) == expected


def test_accumulators_beyond_the_left_shift_saturate():
    requantize = requantize_for([3.0], 0, 0, 255)
    limit = 2 ** (31 - requantize.shift)
    assert requantize.saturates(limit)
    assert not requantize.saturates(limit - 1)
    assert requantize.apply(np.array([2**31 - 1, -(2**31)])).tolist() == [255, 0]


@given(st.lists(st.tuples(st.floats(-8, 8), codes), min_size=1, max_size=2), codes, st.data())
def test_linear_form_is_the_rounded_sum_and_stays_in_32_bits(terms, zero_point, data):
    form = linear_form([r for r, _ in terms], [z for _, z in terms], [255] * len(terms), zero_point, 0, 255)
    inputs = [data.draw(codes) for _ in terms]
    total = form.constant + sum(m * q for m, q in zip(form.multipliers, inputs, strict=True))
    assert -(2**31) <= total < 2**31
    exact = zero_point + sum(Fraction(r) * (q - z) for (r, z), q in zip(terms, inputs, strict=True))
    got = int(form.apply(*(np.array(q, np.uint8) for q in inputs)))
    assert abs(got - min(max(floor(exact + Fraction(1, 2)), 0), 255)) <= 1


def test_ratios_that_no_shift_can_hold_are_refused():
    with pytest.raises(ValueError, match="can't be represented"):
        requantize_for([2.0**31], 0, 0, 255)
    with pytest.raises(ValueError, match="can't be represented"):
        linear_form([2.0**30], [0], [255], 0, 0, 255)
