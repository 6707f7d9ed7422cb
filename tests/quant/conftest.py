"""Calibration data of the small networks, and the choice of bits for one of them."""

from __future__ import annotations

import numpy as np
import pytest
from small_networks import grouped_network

from quantmcu.bitwidths import BitChooser
from quantmcu.data import Dataset, InputSpec, open_dataset
from quantmcu.memory.budget import budget_of
from quantmcu.patch.request import PatchRequest
from quantmcu.progress import SilentProgress, StageClock
from quantmcu.quant import calibrate
from quantmcu.targets import load_board

SPECS = (InputSpec("x", (1, 3, 12, 12)),)


@pytest.fixture(scope="session")
def images() -> Dataset:
    """Smooth: neighbouring pixels resemble each other."""
    smooth = np.random.default_rng(1).standard_normal((50, 3, 12, 12)).cumsum(axis=2).cumsum(axis=3) / 6
    return open_dataset(smooth.astype(np.float32), SPECS)


@pytest.fixture(scope="session")
def varied_images() -> Dataset:
    """Noise whose brightness and contrast differ by image and channel."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 3, 12, 12)) * rng.uniform(0.2, 2, (60, 3, 1, 1)) + rng.standard_normal((60, 3, 1, 1))
    return open_dataset(x.astype(np.float32), SPECS)


@pytest.fixture(scope="session")
def chooser(images: Dataset) -> BitChooser:
    """Of the grouped network on a board of 512 KiB flash, calibrated."""
    graph, board = grouped_network(), load_board("nucleo-f446")
    clock = StageClock(SilentProgress())
    return BitChooser(graph, calibrate(graph, images), images, board, budget_of(board), PatchRequest(), clock)
