"""Export of a graph to ONNX: as float for calibration, as QDQ for users."""

from quantmcu.export.onnx_model import export_onnx
from quantmcu.export.writer import from_onnx_layout, to_onnx_layout

__all__ = ["export_onnx", "from_onnx_layout", "to_onnx_layout"]
