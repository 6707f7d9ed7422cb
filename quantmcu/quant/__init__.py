"""Calibration and post-training quantization of a float graph, and its accuracy."""

from quantmcu.quant.accuracy import AccuracyReport, OutputDifference, compare, is_classifier
from quantmcu.quant.calibrate import DEFAULT_METHOD, calibrate
from quantmcu.quant.calibration import Calibration, TensorStatistics
from quantmcu.quant.histogram import StreamingHistogram
from quantmcu.quant.quantize import quantize
from quantmcu.quant.ranges import RangeMethod
from quantmcu.quant.raw_input import RawInput, fold_input_affine

__all__ = [
    "DEFAULT_METHOD",
    "AccuracyReport",
    "Calibration",
    "OutputDifference",
    "RangeMethod",
    "RawInput",
    "StreamingHistogram",
    "TensorStatistics",
    "calibrate",
    "compare",
    "fold_input_affine",
    "is_classifier",
    "quantize",
]
