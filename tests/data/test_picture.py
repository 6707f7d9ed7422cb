"""Samples as pictures for people."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from quantmcu.data import InputSpec, Preprocess, open_dataset, sample_picture

RED, BLUE = (200, 20, 20), (20, 20, 200)


def picture(jpeg: bytes | None) -> Image.Image:
    assert jpeg is not None
    return Image.open(io.BytesIO(jpeg))


def halves(height: int, width: int) -> np.ndarray:
    """A red half above a blue one, [1, height, width, 3]."""
    image = np.full((1, height, width, 3), RED, np.uint8)
    image[:, height // 2 :] = BLUE
    return image


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pixels_come_back_through_any_preprocessing(order: str, layout: str) -> None:
    spec = InputSpec("x", (1, 3, 40, 32) if layout == "NCHW" else (1, 40, 32, 3))
    preprocess = Preprocess(color_order=order, scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    shown = picture(sample_picture(open_dataset(halves(40, 32), [spec], preprocess), [spec], preprocess))
    assert shown.size == (32, 40)
    np.testing.assert_allclose(shown.getpixel((16, 8)), RED, atol=4)
    np.testing.assert_allclose(shown.getpixel((16, 32)), BLUE, atol=4)


def test_large_images_become_small() -> None:
    spec = InputSpec("x", (1, 400, 200, 3))
    preprocess = Preprocess()
    dataset = open_dataset(halves(400, 200), [spec], preprocess)
    assert picture(sample_picture(dataset, [spec], preprocess)).size == (128, 256)


def test_values_without_preprocessing_are_stretched() -> None:
    spec = InputSpec("x", (1, 1, 16, 16))
    values = np.linspace(-3, 5, 256, dtype=np.float32).reshape(1, 1, 16, 16)
    shown = picture(sample_picture(open_dataset(values, [spec]), [spec], None))
    assert shown.mode == "L"
    assert shown.getpixel((0, 0)) < 12
    assert shown.getpixel((15, 15)) > 243


@pytest.mark.parametrize("shape", [(1, 10), (1, 8, 16, 16), (1, 3, 4, 4), (1, 3, 16)])
def test_what_is_no_image_has_no_picture(shape: tuple[int, ...]) -> None:
    spec = InputSpec("x", shape)
    assert sample_picture(open_dataset(np.zeros(shape, np.float32), [spec]), [spec], None) is None


def test_random_inputs_have_no_picture() -> None:
    spec = InputSpec("x", (1, 3, 16, 16))
    assert sample_picture(open_dataset("random", [spec]), [spec], None) is None
