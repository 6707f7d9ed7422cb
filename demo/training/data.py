"""The data: archives of JPEGs, what is held out, augmentation, and how an image becomes the network's input."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
INPUT_SIZE = 96
SCALE = 1.0 / 255.0
HELD_OUT_PER_CLASS = 200  # train images never trained on; hyperparameters are judged on these
SHIPPED_PER_CLASS = 2
CALIBRATION_PER_CLASS = 10


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


def split_held_out(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the images trained on and of the held-out ones (the last ones of every class)."""
    place = torch.cat([torch.arange(int((targets == c).sum())) for c in range(len(LABELS))])
    held = place >= int((targets == 0).sum()) - HELD_OUT_PER_CLASS
    return torch.nonzero(~held).flatten(), torch.nonzero(held).flatten()


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


def random_crop(batch: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    """Cut a square out of the inputs, at the same random place in the whole batch."""
    if crop == batch.shape[-1]:
        return batch
    top, left = torch.randint(0, batch.shape[-1] - crop + 1, (2,), generator=generator).tolist()
    return batch[:, :, top : top + crop, left : left + crop].contiguous(memory_format=torch.channels_last)


def load_image(data: bytes, preprocess: dict[str, object]) -> np.ndarray:
    """Turn JPEG bytes into the model's input exactly as preprocess.toml says (Pillow bilinear resize)."""
    height, width = preprocess["resize"]
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32) * np.float32(preprocess["scale"])
    pixels = (pixels - np.float32(preprocess["mean"])) / np.float32(preprocess["std"])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


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
