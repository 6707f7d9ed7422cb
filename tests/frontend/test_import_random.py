"""Property: a random network computes the same in ONNX Runtime before and after import and simplification."""

from __future__ import annotations

import onnx
from hypothesis import HealthCheck, given, settings

from tests.onnx_models import check_import
from tests.random_networks import networks


@given(networks())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_random_networks_compute_the_same(model: onnx.ModelProto) -> None:
    """Layouts, folding and dead channels never change a result."""
    check_import(model)
