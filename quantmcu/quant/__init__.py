"""Calibration and post-training quantization of a float graph, and its accuracy."""

from quantmcu.quant.accuracy import AccuracyReport, OutputDifference, compare, is_classifier
from quantmcu.quant.calibrate import DEFAULT_METHOD, calibrate
from quantmcu.quant.calibration import Calibration, TensorStatistics
from quantmcu.quant.histogram import StreamingHistogram
from quantmcu.quant.moments import InputMoments, input_moments
from quantmcu.quant.quantize import quantize
from quantmcu.quant.ranges import RangeMethod
from quantmcu.quant.raw_input import RawInput, fold_input_affine
from quantmcu.quant.weight_bits import WeightOption, choose_weight_bits, measure_options, weight_bytes

__all__ = [
    "DEFAULT_METHOD",
    "AccuracyReport",
    "Calibration",
    "InputMoments",
    "OutputDifference",
    "RangeMethod",
    "RawInput",
    "StreamingHistogram",
    "TensorStatistics",
    "WeightOption",
    "calibrate",
    "choose_weight_bits",
    "compare",
    "fold_input_affine",
    "input_moments",
    "is_classifier",
    "measure_options",
    "quantize",
    "weight_bytes",
]
