"""Training: the recipe, and the work of one process of it."""

from __future__ import annotations

import argparse
import ctypes
import math
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing
from torch.nn import functional as F  # noqa: N812 - the usual name

from training.data import INPUT_SIZE, SCALE, augment, random_crop, split_held_out, to_input
from training.network import Net

AVERAGE_EVERY = 5  # steps between updates of the averaged weights


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


def joined_gradient(net: Net) -> Tensor:
    """One tensor in which all gradients of the network live: one exchange a step."""
    sizes = [parameter.numel() for parameter in net.parameters()]
    gradient = torch.zeros(sum(sizes))
    for parameter, part in zip(net.parameters(), gradient.split(sizes), strict=True):
        parameter.grad = part.view(parameter.shape)
    return gradient


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
    gradient = joined_gradient(net)
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
