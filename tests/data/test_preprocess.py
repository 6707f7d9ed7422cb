"""Preprocessing: geometry, affine map, presets and the TOML file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantmcu.data import InputSpec, Preprocess, input_specs, load_preprocess
from quantmcu.data.inputs import original_shape
from quantmcu.errors import UsageError
from quantmcu.ir import Graph, Tensor

SPEC = InputSpec("image", (1, 3, 224, 224))


def photograph(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def test_imagenet_is_short_side_256_and_centre_crop_224() -> None:
    image = photograph(400, 320)
    preprocess = load_preprocess("imagenet", SPEC)
    geometry = preprocess.geometry(SPEC)
    got = preprocess.values(preprocess.pixels(image, geometry), geometry)
    scaled = np.asarray(image.resize((320, 256), Image.Resampling.BILINEAR), np.float64)[16:240, 48:272]
    expected = (scaled / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(got[0], expected.transpose(2, 0, 1), atol=1e-5)
    assert got.dtype == np.float32


def test_imagenet_follows_the_size_of_the_model() -> None:
    preprocess = load_preprocess("imagenet", InputSpec("image", (1, 144, 144, 3)))
    assert (preprocess.resize, preprocess.crop) == (165, (144, 144))


def test_imagenet_crop_takes_224_of_256_then_scales() -> None:
    spec = InputSpec("image", (1, 3, 144, 144))
    preprocess = load_preprocess("imagenet-crop", spec)
    image = photograph(256, 256)
    expected = image.crop((16, 16, 240, 240)).resize((144, 144), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(preprocess.pixels(image, preprocess.geometry(spec)), np.asarray(expected))


@pytest.mark.parametrize(("name", "low", "high"), [("unit", 0, 1), ("signed", -1, 1), ("raw", 0, 255)])
def test_ranges_of_the_plain_presets(name: str, low: float, high: float) -> None:
    affine = load_preprocess(name, SPEC).affine(3)
    np.testing.assert_allclose(affine.apply(np.array([[0, 0, 0], [255, 255, 255]])), [[low] * 3, [high] * 3], atol=1e-6)
    assert affine.is_uniform


def test_grey_model_and_bgr() -> None:
    grey = InputSpec("image", (1, 1, 8, 8))
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    unit = load_preprocess("unit", grey)
    assert unit.pixels(image, unit.geometry(grey)).shape == (8, 8, 1)
    bgr = Preprocess(color_order="BGR")
    spec = InputSpec("image", (1, 8, 8, 3))
    assert bgr.pixels(image, bgr.geometry(spec))[0, 0].tolist() == [0, 0, 255]


def test_with_affine_replaces_the_map() -> None:
    old = load_preprocess("imagenet", SPEC)
    new = old.with_affine(load_preprocess("signed", SPEC).affine(3))
    pixels = np.arange(256)[:, None].repeat(3, axis=1)
    np.testing.assert_allclose(new.affine(3).apply(pixels), pixels / 127.5 - 1, atol=1e-6)
    assert new.resize == old.resize


def test_unknown_preset_lists_all() -> None:
    with pytest.raises(UsageError) as caught:
        load_preprocess("imagnet", SPEC)
    text = str(caught.value)
    assert "unknown preprocessing 'imagnet'; did you mean 'imagenet'?" in text
    assert "imagenet, imagenet-crop, cifar10, unit, signed, raw" in text


def test_file_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        'resize = [40, 30]\nresample = "nearest"\ncrop = [20, 24]\ncolor_order = "RGB"\nscale = 0.5\n'
        'mean = [1, 2, 3.5]\nstd = 2.0\nlabels = ["a", "b"]\n'
    )
    expected = Preprocess((40, 30), "nearest", (20, 24), "RGB", 0.5, (1.0, 2.0, 3.5), (2.0,), ("a", "b"))
    assert load_preprocess(path, SPEC) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reszie = 3", "unknown key 'reszie'; did you mean 'resize'?"),
        ("resize = 0", "p.toml: resize: resize = 0 is not [height, width] or the length of the shorter side"),
        ("crop = 5", "p.toml: crop: crop = 5 is not [height, width]"),
        ("crop = [1, 2, 3]", "p.toml: crop"),
        ('resample = "lanczos"', 'is not one of "bilinear", "nearest", "bicubic"'),
        ('color_order = "rgb"', 'is not one of "RGB", "BGR", "L"'),
        ("std = [1, 0, 1]", "p.toml: std"),
        ("mean = nan", "p.toml: mean"),
        ('scale = "a"', "p.toml: scale"),
        ('labels = ["a", "a"]', "p.toml: labels"),
        ("mean = [1, 2]", "mean has 2 values, the model's image has 3 channels"),
        ("scale = = 2", "the preprocessing file is not TOML"),
    ],
)
def test_mistakes_in_the_file_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_preprocess(path, SPEC)
    assert message in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        load_preprocess(tmp_path / "none.toml", SPEC)


def test_layout_is_deduced_or_refused() -> None:
    assert InputSpec("i", (1, 3, 5, 6)).image_geometry().layout == "NCHW"
    nhwc = InputSpec("i", (1, 5, 6, 3)).image_geometry()
    assert (nhwc.layout, nhwc.height, nhwc.width) == ("NHWC", 5, 6)
    with pytest.raises(UsageError, match="ambiguous"):
        InputSpec("i", (1, 3, 96, 3)).image_geometry()
    assert InputSpec("i", (1, 3, 28, 1)).image_geometry(3).layout == "NCHW"
    with pytest.raises(UsageError, match="is not an image"):
        InputSpec("i", (1, 640)).image_geometry()
    with pytest.raises(UsageError, match="no axis of the input"):
        InputSpec("i", (1, 4, 5, 6)).image_geometry()


def test_input_specs_are_in_the_layout_of_the_model() -> None:
    tensors = {"a": Tensor("a", (1, 8, 10, 3)), "b": Tensor("b", (1, 7))}
    graph = Graph("g", ("a", "b"), ("b",), (), tensors, ((0, 2, 3, 1), None))
    assert input_specs(graph) == (InputSpec("a", (1, 3, 8, 10)), InputSpec("b", (1, 7)))
    assert original_shape((2, 3, 4, 5), (0, 2, 3, 1)) == (2, 5, 3, 4)
