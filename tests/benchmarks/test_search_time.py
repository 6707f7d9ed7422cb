"""The benchmark of search time: its requests are possible, its stages add up."""

import time
from pathlib import Path

import pytest

from benchmarks.search_time import REQUESTS, StageTimes
from quantmcu.request import CompileRequest


@pytest.mark.parametrize("label", REQUESTS)
def test_requests_are_possible(label):
    request = CompileRequest(Path("model.onnx"), "nucleo-f767", **REQUESTS[label])
    assert request.bitwidths.maps in ("8", "mixed")
    assert request.patches.patch == "auto"


def test_stages_take_the_time_between_their_starts():
    times = StageTimes()
    times.stage("busy")
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    times.stage("idle")
    time.sleep(0.05)
    times.stage("")
    assert times.seconds["busy"] >= 0.04
    assert times.seconds["idle"] < times.seconds["busy"]
