"""QuantMCU: ONNX in, microcontroller firmware out, with measured latency back."""

__version__ = "0.1.0"
