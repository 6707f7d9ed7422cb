"""ONNX's types of 4 and 2 bits, as ONNX Runtime takes them: in front of a Cast to 8 bits.

Its fused integer operators read and write 8-bit types only; through the Cast they stay fused, and compute the same.
"""

from __future__ import annotations

from functools import cache

import onnx
import onnxruntime
from onnx import TensorProto, helper

OPSETS = {8: 17, 4: 21, 2: 25}
"""The operator set that a model needs, by the bits of its narrowest codes."""

IR_VERSIONS = {17: 8, 21: 10, 25: 13}
"""ONNX's file format version that belongs to an operator set."""


def signed_type(bits: int) -> int:
    """Of weights: INT8, INT4 or INT2; INT8 in place of what the installed ONNX Runtime does not know."""
    return _type("INT", bits)


def unsigned_type(bits: int) -> int:
    """Of feature maps: UINT8, UINT4 or UINT2, as `signed_type`."""
    return _type("UINT", bits)


def needed_opset(bits: int) -> int:
    """For codes of so many bits and more."""
    return OPSETS[bits if bits == 8 or _is_known("INT", bits) else 8]


def _type(kind: str, bits: int) -> int:
    found: int = getattr(TensorProto, f"{kind}{bits if bits == 8 or _is_known(kind, bits) else 8}")
    return found


@cache
def _is_known(kind: str, bits: int) -> bool:
    """Whether ONNX has the type, and ONNX Runtime runs a Cast from it to 8 bits."""
    if not hasattr(TensorProto, f"{kind}{bits}") or onnx.defs.onnx_opset_version() < OPSETS[bits]:
        return False
    narrow, eight = getattr(TensorProto, f"{kind}{bits}"), getattr(TensorProto, f"{kind}8")
    graph = helper.make_graph(
        [helper.make_node("Cast", ["narrow"], ["eight"], to=eight)],
        "probe",
        [],
        [helper.make_tensor_value_info("eight", eight, [1])],
        [helper.make_tensor("narrow", narrow, [1], [1])],
    )
    opset = OPSETS[bits]
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSIONS[opset]
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return int(session.run(None, {})[0][0]) == 1
    except Exception:  # ONNX Runtime has no class of its own for what it does not support
        return False
