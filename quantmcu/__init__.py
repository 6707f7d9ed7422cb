"""QuantMCU: ONNX in, microcontroller firmware out, with measured latency back."""
