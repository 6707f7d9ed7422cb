"""Layers of published networks, with random weights: shapes to measure kernels on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantmcu.codegen.kernel import Core, StepContext
from quantmcu.ir.tensor import QParams
from quantmcu.program.fixed_point import requantize_for
from quantmcu.program.program import Value
from quantmcu.program.steps import Convolution


@dataclass(frozen=True)
class Layer:
    """A convolution. `repeats`: how often its shape occurs in the network."""

    network: str
    size: tuple[int, int]
    channels: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    repeats: int = 1
    depthwise: bool = False
    weight_bits: int = 8

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """As ONNX's SAME_UPPER."""
        whole = [
            max((-(-size // self.stride) - 1) * self.stride + kernel - size, 0)
            for size, kernel in zip(self.size, self.kernel, strict=True)
        ]
        top, left = whole[0] // 2, whole[1] // 2
        return top, left, whole[0] - top, whole[1] - left

    @property
    def output_shape(self) -> tuple[int, ...]:
        """NHWC."""
        return 1, -(-self.size[0] // self.stride), -(-self.size[1] // self.stride), self.outputs

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those on padding included."""
        inputs = 1 if self.depthwise else self.channels
        return int(np.prod(self.output_shape)) * self.kernel[0] * self.kernel[1] * inputs

    @property
    def title(self) -> str:
        """For tables."""
        kind = "dw" if self.depthwise else "fc" if self.size == (1, 1) else "conv"
        channels = f"{self.channels}" if self.depthwise else f"{self.channels}->{self.outputs}"
        stride = f" /{self.stride}" if self.stride > 1 else ""
        bits = f" w{self.weight_bits}" if self.weight_bits < 8 else ""
        return f"{kind} {self.kernel[0]}x{self.kernel[1]} {channels} @{self.size[0]}x{self.size[1]}{stride}{bits}"

    def context(self, core: Core, seed: int = 0) -> tuple[StepContext, NDArray[np.uint8]]:
        """A step of this shape with random weights, and random input codes."""
        random = np.random.default_rng(seed)
        groups = self.channels if self.depthwise else 1
        depth = self.kernel[0] * self.kernel[1] * self.channels // groups
        largest = 2 ** (self.weight_bits - 1) - 1
        deviation = largest / 4
        weight = np.clip(
            np.rint(random.normal(0, deviation, (self.outputs, *self.kernel, self.channels // groups))),
            -largest,
            largest,
        )
        step = Convolution(
            name="layer",
            inputs=("input",),
            output="output",
            weight=weight.astype(np.int8),
            weight_bits=self.weight_bits,
            bias=(-128 * weight.sum(axis=(1, 2, 3))).astype(np.int32),
            requantize=requantize_for(
                random.uniform(0.3, 1, self.outputs) * 60 / (np.sqrt(depth) * deviation * 75), 7, 0, 255
            ),
            input_zero_point=128,
            strides=(self.stride, self.stride),
            pads=self.pads,
            groups=groups,
        )
        qparams = QParams(8, 1.0, 0)
        shape = (1, *self.size, self.channels)
        source, target = Value("input", shape, 8, qparams), Value("output", self.output_shape, 8, qparams)
        return StepContext(step, (source,), target, core), random.integers(0, 256, shape).astype(np.uint8)


def _square(
    network: str, size: int, channels: int, outputs: int, kernel: int = 1, stride: int = 1, repeats: int = 1
) -> Layer:
    return Layer(network, (size, size), channels, outputs, (kernel, kernel), stride, repeats)


def _depthwise(network: str, size: int, channels: int, stride: int = 1, repeats: int = 1) -> Layer:
    return Layer(network, (size, size), channels, channels, (3, 3), stride, repeats, depthwise=True)


LAYERS = (
    _square("ic", 32, 3, 16, 3),
    _square("ic", 32, 16, 16, 3, repeats=2),
    _square("ic", 32, 16, 32, 3, 2),
    _square("ic", 16, 32, 32, 3),
    _square("ic", 32, 16, 32, 1, 2),
    _square("ic", 16, 32, 64, 3, 2),
    _square("ic", 8, 64, 64, 3),
    _square("ic", 16, 32, 64, 1, 2),
    _square("ic", 1, 64, 10),
    Layer("kws", (49, 10), 1, 64, (10, 4), 2),
    Layer("kws", (25, 5), 64, 64, (3, 3), 1, 4, depthwise=True),
    Layer("kws", (25, 5), 64, 64, repeats=4),
    _square("kws", 1, 64, 12),
    _square("ad", 1, 640, 128),
    _square("ad", 1, 128, 128, repeats=6),
    _square("ad", 1, 128, 8),
    _square("ad", 1, 8, 128),
    _square("ad", 1, 128, 640),
    _square("vww", 96, 3, 8, 3, 2),
    _depthwise("vww", 48, 8),
    _square("vww", 48, 8, 16),
    _depthwise("vww", 48, 16, 2),
    _square("vww", 24, 16, 32),
    _depthwise("vww", 24, 32),
    _square("vww", 24, 32, 32),
    _depthwise("vww", 24, 32, 2),
    _square("vww", 12, 32, 64),
    _depthwise("vww", 12, 64),
    _square("vww", 12, 64, 64),
    _depthwise("vww", 12, 64, 2),
    _square("vww", 6, 64, 128),
    _depthwise("vww", 6, 128, repeats=5),
    _square("vww", 6, 128, 128, repeats=5),
    _depthwise("vww", 6, 128, 2),
    _square("vww", 3, 128, 256),
    _depthwise("vww", 3, 256),
    _square("vww", 3, 256, 256),
    _square("vww", 1, 256, 2),
    _square("mobilenetv2", 72, 3, 32, 3, 2),
    _square("mobilenetv2", 36, 32, 16),
    _square("mobilenetv2", 36, 16, 96),
    _square("mobilenetv2", 18, 96, 24),
    _square("mobilenetv2", 18, 24, 144),
    _square("mobilenetv2", 18, 144, 24),
    _square("mobilenetv2", 9, 32, 192),
    _square("mobilenetv2", 9, 192, 32),
    _square("mobilenetv2", 5, 384, 64),
    _square("mobilenetv2", 5, 96, 576),
    _square("mobilenetv2", 3, 960, 160),
    _square("mobilenetv2", 3, 160, 960),
    # No network's: odd sizes, few and many channels, other kernels
    _square("others", 9, 42, 48),
    _square("others", 15, 9, 7),
    _square("others", 28, 1, 16, 3),
    _square("others", 40, 3, 24, 5, 2),
    _square("others", 14, 24, 18, 3),
    _square("others", 11, 10, 6, 3),
    _square("others", 7, 48, 20, 3),
    _square("others", 13, 8, 8, 5),
    _square("others", 2, 512, 64),
    _square("others", 1, 1024, 50),
    _square("others", 1, 20, 33),
)
