"""Packing of codes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantmcu.errors import ToolError, UsageError
from quantmcu.packing import pack_codes, packed_size, unpack_codes
from quantmcu.runner import TensorInfo, pack_inputs


def test_lowest_bits_first_and_each_row_on_a_new_byte():
    codes = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert pack_codes(codes, 4) == bytes((0x21, 0x03, 0x54, 0x06))
    assert pack_codes(codes & 3, 2) == bytes((0b111001, 0b100100))


@given(st.sampled_from((8, 4, 2)), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.randoms())
def test_round_trip(bits, shape, random):
    codes = np.array([random.randrange(1 << bits) for _ in range(int(np.prod(shape)))], np.uint8).reshape(shape)
    packed = pack_codes(codes, bits)
    assert len(packed) == packed_size(shape, bits)
    assert np.array_equal(unpack_codes(packed, bits, shape), codes)
    # one code after the other, as the C kernels read them
    row_bytes = -(-shape[-1] * bits // 8)
    for position, code in enumerate(codes.reshape(-1)):
        row, column = divmod(position, shape[-1])
        byte = packed[row * row_bytes + column * bits // 8]
        assert byte >> (column * bits % 8) & ((1 << bits) - 1) == code


def test_values_of_32_bits():
    values = np.array([[-1, 2**31 - 1]], np.int32)
    assert pack_codes(values, 32) == b"\xff\xff\xff\xff\xff\xff\xff\x7f"
    assert np.array_equal(unpack_codes(pack_codes(values, 32), 32, (1, 2)), values)


def test_codes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="code 16 does not fit into 4 bits"):
        pack_codes(np.array([16], np.uint8), 4)
    with pytest.raises(ValueError, match="8-bit tensors are uint8 arrays, not float32"):
        pack_codes(np.zeros(3, np.float32), 8)
    with pytest.raises(ValueError, match="takes 2 bytes, not 3"):
        unpack_codes(b"123", 4, (1, 3))


def test_wrong_inputs_name_the_tensor():
    tensor = TensorInfo("image", 8, (1, 2), 2, 1.0, 0)
    with pytest.raises(UsageError, match=r"image: an input has the wrong shape\n.*expected \(1, 2\), got \(2, 1\)"):
        pack_inputs([tensor], [np.zeros((2, 1), np.uint8)])
    with pytest.raises(UsageError, match="the network has 1, got 0"):
        pack_inputs([tensor], [])
    with pytest.raises(ToolError, match="5 bytes for shape"):
        TensorInfo("image", 4, (1, 2), 5, 1.0, 0).check("board")
