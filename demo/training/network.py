"""The network: a small MobileNetV2-like classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from training.data import INPUT_SIZE, LABELS

STEM_CHANNELS = 16
HEAD_CHANNELS = 256


@dataclass(frozen=True)
class Stage:
    """Repeated inverted residual blocks; only the first block of a stage changes size or channel count."""

    expansion: int
    channels: int
    blocks: int
    stride: int


STAGES = (
    Stage(expansion=1, channels=16, blocks=1, stride=1),
    Stage(expansion=3, channels=16, blocks=2, stride=2),
    Stage(expansion=3, channels=32, blocks=3, stride=2),
    Stage(expansion=4, channels=64, blocks=3, stride=2),
)


class _StrideTwoDepthwise(torch.autograd.Function):
    """Depthwise 3x3 convolution, stride 2, in bfloat16, with a fast gradient for its input.

    The stock bfloat16 CPU kernel for that gradient takes about as long as all the rest of a training step. The same
    gradient is an ordinary stride-1 depthwise convolution of the zero-stuffed output gradient, which is fast.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        x, weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, stride=2, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        channels = x.shape[1]
        stuffed = torch.zeros_like(x)
        stuffed[:, :, ::2, ::2] = grad
        grad_x = F.conv2d(stuffed, weight.flip(2, 3), padding=1, groups=channels)
        _, grad_weight, _ = torch.ops.aten.convolution_backward(
            grad, x, weight, None, [2, 2], [1, 1], [1, 1], False, [0, 0], channels, [False, True, False]
        )
        return grad_x, grad_weight.float()


class DepthwiseConv(nn.Conv2d):
    """Depthwise 3x3 convolution without bias."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, channels, 3, stride, 1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.stride == (2, 2) and torch.is_autocast_enabled("cpu"):
            return _StrideTwoDepthwise.apply(x, self.weight)
        return super().forward(x)


class InvertedResidual(nn.Module):
    """MobileNetV2 block: expand 1x1, depthwise 3x3, project 1x1 (linear), Add when the shape is kept."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.inputs, self.hidden, self.outputs, self.stride = inputs, inputs * expansion, outputs, stride
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [nn.Conv2d(inputs, self.hidden, 1, bias=False), nn.BatchNorm2d(self.hidden), nn.ReLU6(True)]
        layers += [DepthwiseConv(self.hidden, stride), nn.BatchNorm2d(self.hidden), nn.ReLU6(True)]
        layers += [nn.Conv2d(self.hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.layers = nn.Sequential(*layers)
        self.add = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.add else y


class Net(nn.Module):
    """Stem (stride 2), inverted residual blocks, 1x1 convolution, global average pool, linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM_CHANNELS, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM_CHANNELS), nn.ReLU6(True)
        )
        blocks, channels = [], STEM_CHANNELS
        for stage in STAGES:
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(InvertedResidual(channels, stage.channels, stride, stage.expansion))
                channels = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Conv2d(channels, HEAD_CHANNELS, 1, bias=False), nn.BatchNorm2d(HEAD_CHANNELS), nn.ReLU6(True)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(HEAD_CHANNELS, len(LABELS))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.head(self.blocks(self.stem(x)))).flatten(1))


def describe(net: Net) -> list[dict[str, object]]:
    """List the parts of the network with their output shape, parameters and multiply-accumulates at 96x96."""
    macs: dict[nn.Module, int] = {}
    shapes: dict[nn.Module, list[int]] = {}

    def hook(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes[module] = list(output.shape[1:])
        if isinstance(module, nn.Conv2d):
            macs[module] = output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            macs[module] = module.weight.numel()

    handles = [module.register_forward_hook(hook) for module in net.modules()]
    net.eval()
    with torch.no_grad():
        net(torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE))
    for handle in handles:
        handle.remove()

    def row(name: str, part: nn.Module, note: str) -> dict[str, object]:
        return {
            "name": name,
            "what": note,
            "output": shapes[part],
            "parameters": sum(p.numel() for p in part.parameters()),
            "macs": sum(macs.get(module, 0) for module in part.modules()),
        }

    rows = [row("stem", net.stem, f"conv 3x3, stride 2, 3 -> {STEM_CHANNELS}, ReLU6")]
    for index, block in enumerate(net.blocks):
        expand = f"1x1 {block.inputs} -> {block.hidden}, " if block.hidden != block.inputs else ""
        note = f"{expand}depthwise 3x3 stride {block.stride}, 1x1 {block.hidden} -> {block.outputs}"
        rows.append(row(f"block {index + 1}", block, note + (", Add" if block.add else "")))
    rows.append(row("head", net.head, f"1x1 {net.head[0].in_channels} -> {HEAD_CHANNELS}, ReLU6"))
    rows.append(row("pool", net.pool, "global average"))
    rows.append(row("classifier", net.classifier, f"linear {HEAD_CHANNELS} -> {len(LABELS)}"))
    return rows
