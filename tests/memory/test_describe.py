"""What messages call the arrays of patch stages, whose own names no model has."""

import pytest

from quantmcu.memory.describe import describe_array

STAGE = "/features/conv/Conv patches"


@pytest.mark.parametrize(
    ("array", "text"),
    [
        ("conv_1", "conv_1"),
        (f"{STAGE}/a/b", "a/b in a patch of the stage ending at /features/conv/Conv"),
        (f"{STAGE}/a/b/carried", "rows of a/b kept between patches of the stage ending at /features/conv/Conv"),
        (f"{STAGE}/a/b/columns", "columns of a/b kept between patches of the stage ending at /features/conv/Conv"),
        (f"{STAGE}/a/fresh", "newly computed part of a in a patch of the stage ending at /features/conv/Conv"),
        ("other/carried", "other/carried"),
    ],
)
def test_arrays(array: str, text: str) -> None:
    assert describe_array(array, [STAGE]) == text
