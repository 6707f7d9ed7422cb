"""Export of a graph to ONNX: as float for calibration, as QDQ for users."""

from quantmcu.export.onnx_model import export_onnx

__all__ = ["export_onnx"]
