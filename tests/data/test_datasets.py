"""Data sets: what they deliver, and what they say when they can't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantmcu.data import ArrayDataset, InputSpec, Preprocess, RememberedDataset, open_dataset
from quantmcu.errors import ExitStatus, UsageError

NCHW = (InputSpec("image", (1, 3, 8, 10)),)
NHWC = (InputSpec("image", (1, 8, 10, 3)),)
VECTOR = (InputSpec("features", (1, 6)),)


def write_image(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (10, 8)) -> None:
    """A PNG of one colour; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_gives_values_labels_and_shapes(tmp_path: Path, save: object) -> None:
    x = np.random.default_rng(1).standard_normal((5, 3, 8, 10)).astype(np.float32)
    save(tmp_path / "data.npz", x=x, y=np.arange(5))
    dataset = open_dataset(tmp_path / "data.npz", NCHW)
    assert len(dataset) == 5
    for index, sample in enumerate(dataset):
        assert sample.label == index
        assert sample.inputs["image"].shape == (1, 3, 8, 10)
        np.testing.assert_array_equal(sample.inputs["image"][0], x[index])


def test_uncompressed_npz_stays_on_disk(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.ones((5, 6), np.float32), y=np.zeros(5, np.int64))
    dataset = open_dataset(tmp_path / "data.npz", VECTOR)
    assert isinstance(dataset, ArrayDataset)
    assert isinstance(dataset._arrays["features"], np.memmap)


def test_npz_in_fortran_order(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(2, 6))
    np.savez(tmp_path / "data.npz", x=x)
    np.testing.assert_array_equal(open_dataset(tmp_path / "data.npz", VECTOR)[1].inputs["features"][0], x[1])


def test_npy_has_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 6)))
    dataset = open_dataset(tmp_path / "x.npy", VECTOR)
    assert len(dataset) == 4
    assert dataset.labels is None
    assert dataset[-1].inputs["features"].dtype == np.float32


def test_several_inputs_by_name() -> None:
    specs = (InputSpec("a", (1, 2)), InputSpec("b", (1, 3)))
    dataset = open_dataset({"a": np.ones((4, 2)), "b": np.zeros((4, 3))}, specs)
    assert {name: value.shape for name, value in dataset[0].inputs.items()} == {"a": (1, 2), "b": (1, 3)}
    with pytest.raises(UsageError, match="no data for the input 'b'"):
        open_dataset({"a": np.ones((4, 2))}, specs)
    with pytest.raises(UsageError, match="different numbers of samples"):
        open_dataset({"a": np.ones((4, 2)), "b": np.zeros((5, 3))}, specs)


def test_axes_of_length_one_do_not_matter() -> None:
    spec = (InputSpec("mfcc", (1, 1, 49, 10)),)
    x = np.arange(2 * 490, dtype=np.float32).reshape(2, 49, 10, 1)
    np.testing.assert_array_equal(open_dataset(x, spec)[1].inputs["mfcc"][0, 0], x[1, :, :, 0])


def test_wrong_shape_says_what_was_expected_and_whether_a_transpose_fits() -> None:
    with pytest.raises(UsageError) as caught:
        open_dataset(np.zeros((5, 8, 10, 3), np.float32), NCHW)
    text = str(caught.value)
    assert "wrong shape (5, 8, 10, 3) for the input 'image'" in text
    assert "expected (samples, 3, 8, 10)" in text
    assert "x.transpose(0, 3, 1, 2)" in text
    assert caught.value.status == ExitStatus.USAGE
    with pytest.raises(UsageError) as caught:
        open_dataset(np.zeros((5, 7), np.float32), VECTOR)
    assert "transpose" not in str(caught.value)


def test_a_sample_without_the_first_axis() -> None:
    with pytest.raises(UsageError, match="the first axis counts the samples"):
        open_dataset(np.zeros((3, 8, 10), np.float32), NCHW)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((0, 6))}, "the data set is empty"),
        ({"x": np.zeros((2, 6)), "y": np.array([0, 9])}, "label 9 of sample 1 is out of range"),
        ({"x": np.zeros((2, 6)), "y": np.array([0, -1])}, "label -1 of sample 1 is out of range"),
        ({"x": np.zeros((2, 6)), "y": np.zeros(3, np.int64)}, "labels of shape (3,) for 2 samples"),
        ({"x": np.zeros((2, 6)), "y": np.array([0.5, 1])}, "labels that are not whole numbers"),
        ({"z": np.zeros((2, 6))}, "no data for the input 'features'"),
    ],
)
def test_unusable_arrays(arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_dataset(arrays, VECTOR, classes=3)
    assert message in str(caught.value)


def test_nan_names_the_sample() -> None:
    x = np.zeros((3, 6), np.float32)
    x[2, 1] = np.nan
    dataset = open_dataset(x, VECTOR)
    assert dataset[1].inputs["features"].sum() == 0
    with pytest.raises(UsageError, match="sample 2 holds NaN or infinity"):
        dataset[2]


@pytest.mark.parametrize("name", ["missing.npz", "broken.npz", "broken.npy", "objects.npz", "text.npy", "notes.txt"])
def test_unreadable_files_name_themselves(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "objects.npz":
        np.savez(path, x=np.array([{}, {}], dtype=object))
    elif name == "text.npy":
        np.save(path, np.array(["a", "b"]))
    elif not name.startswith("missing"):
        path.write_bytes(b"no array at all")
    with pytest.raises(UsageError) as caught:
        open_dataset(path, VECTOR)
    assert name in str(caught.value)


def test_folder_of_images_in_order_of_names(tmp_path: Path) -> None:
    for value, name in ((30, "c.png"), (10, "a.PNG"), (20, "b.jpg")):
        write_image(tmp_path / name, (value, value, value))
    (tmp_path / "readme.txt").write_text("ignored")
    dataset = open_dataset(tmp_path, NCHW, Preprocess())
    assert dataset.labels is None
    assert [round(float(sample.inputs["image"].mean())) for sample in dataset] == [10, 20, 30]
    assert dataset[0].inputs["image"].shape == (1, 3, 8, 10)


def test_class_folders_give_labels_by_sorted_name(tmp_path: Path) -> None:
    write_image(tmp_path / "dog" / "1.png", (200, 0, 0))
    write_image(tmp_path / "cat" / "1.png", (100, 0, 0))
    write_image(tmp_path / "cat" / "2.png", (101, 0, 0))
    dataset = open_dataset(tmp_path, NHWC, Preprocess())
    assert dataset.class_names == ("cat", "dog")
    assert [sample.label for sample in dataset] == [0, 0, 1]
    named = open_dataset(tmp_path, NHWC, Preprocess(labels=("dog", "bird", "cat")))
    assert [sample.label for sample in named] == [2, 2, 0]
    with pytest.raises(UsageError, match="the class folder 'cat' is not among the labels"):
        open_dataset(tmp_path, NHWC, Preprocess(labels=("dog", "bird")))
    with pytest.raises(UsageError, match="label 1 of sample 2 is out of range"):
        open_dataset(tmp_path, NHWC, Preprocess(), classes=1)


def test_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the folder holds no images"):
        open_dataset(tmp_path, NCHW, Preprocess())
    write_image(tmp_path / "a.png", (0, 0, 0))
    with pytest.raises(UsageError, match="images need a preprocessing"):
        open_dataset(tmp_path, NCHW)
    with pytest.raises(UsageError, match="can't feed 2 inputs"):
        open_dataset(tmp_path, NCHW + VECTOR, Preprocess())
    write_image(tmp_path / "class" / "a.png", (0, 0, 0))
    with pytest.raises(UsageError, match="images beside folders with images"):
        open_dataset(tmp_path, NCHW, Preprocess())


def test_unreadable_image_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", (0, 0, 0))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    dataset = open_dataset(tmp_path, NCHW, Preprocess())
    dataset[0]
    with pytest.raises(UsageError, match=r"b\.png: the image can't be read"):
        dataset[1]
    Image.new("I;16", (10, 8)).save(tmp_path / "b.png")
    with pytest.raises(UsageError, match=r"b\.png: an image of mode I;16"):
        dataset[1]


def test_too_small_for_the_crop_names_the_image(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", (0, 0, 0))
    with pytest.raises(UsageError, match=r"a\.png: crop 9x9 is larger than the image, 8x10"):
        open_dataset(tmp_path, NCHW, Preprocess(crop=(9, 9)))[0]


@pytest.mark.parametrize(("low", "high"), [(-2.1, 2.5), (0.0, 1.0), (0.0, 300.0)])
def test_what_is_scaled_already_is_not_taken_for_pixels(low: float, high: float) -> None:
    x = np.linspace(low, high, 3 * 8 * 10 * 3, dtype=np.float32).reshape(3, 8, 10, 3)
    with pytest.raises(UsageError, match=rf"values go from {low:.3g} to {high:.3g}[\s\S]*leave --preprocess out"):
        open_dataset(x, NCHW, Preprocess())
    open_dataset(x * 0 + 128, NCHW, Preprocess())


def test_uint8_arrays_are_preprocessed_as_images() -> None:
    x = np.random.default_rng(2).integers(0, 256, (3, 8, 10, 3), np.uint8)
    dataset = open_dataset(x, NCHW, Preprocess(scale=1 / 255))
    assert dataset.is_pixels
    np.testing.assert_allclose(dataset[2].inputs["image"][0], x[2].transpose(2, 0, 1) / 255, rtol=1e-6)
    with pytest.raises(UsageError, match="images of type float32 can't be resized"):
        open_dataset(np.zeros((3, 9, 9, 3), np.float32), NCHW, Preprocess())
    with pytest.raises(UsageError, match="wrong shape"):
        open_dataset(np.zeros((3, 3, 8, 10), np.uint8), NCHW, Preprocess())


def test_integer_features_through_an_affine_map() -> None:
    codes = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)
    spec = (InputSpec("mfcc", (1, 1, 16, 16)),)
    values = open_dataset(codes, spec, Preprocess(scale=0.5, mean=(41.5,)))[0].inputs["mfcc"]
    np.testing.assert_allclose(values[0, 0], 0.5 * (codes[0, :, :, 0].astype(float) - 83), rtol=1e-6)


def test_random_inputs_are_reproducible_and_warn() -> None:
    first, second = (open_dataset("random", NCHW, random_samples=3) for _ in range(2))
    np.testing.assert_array_equal(first[1].inputs["image"], second[1].inputs["image"])
    assert not np.array_equal(first[1].inputs["image"], first[2].inputs["image"])
    assert "random inputs" in first.warning
    pixels = open_dataset("random", NCHW, Preprocess())[0].inputs["image"]
    assert np.array_equal(pixels, np.rint(pixels))
    assert pixels.max() > 200


def test_a_limit_is_spread_over_the_set() -> None:
    dataset = open_dataset({"x": np.zeros((10, 6)), "y": np.arange(10)}, VECTOR)
    assert dataset.take(5).labels is not None
    assert [sample.label for sample in dataset.take(5)] == [0, 2, 4, 6, 8]
    assert dataset.take(50) is dataset
    assert dataset.take(None) is dataset
    with pytest.raises(UsageError, match="the limit on the number of samples is 0"):
        dataset.take(0)
    with pytest.raises(IndexError):
        dataset[10]


def test_remembered_samples_are_read_once_as_far_as_there_is_room() -> None:
    spec = InputSpec("x", (1, 4))
    whole = ArrayDataset({"x": np.arange(12, dtype=np.float32).reshape(3, 4), "y": np.array([2, 0, 1])}, [spec])
    remembered = RememberedDataset(whole, most_bytes=32)  # two samples of 16 bytes
    first = [sample.inputs["x"] for sample in remembered]
    again = [sample.inputs["x"] for sample in remembered]
    assert [a is b for a, b in zip(first, again, strict=True)] == [True, True, False]
    np.testing.assert_array_equal(np.concatenate(again), np.arange(12).reshape(3, 4))
    assert [sample.label for sample in remembered.take(2)] == [2, 0]
    assert remembered.description == whole.description
