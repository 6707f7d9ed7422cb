"""Calibration and evaluation data: arrays, folders of images, random inputs, and how images are preprocessed."""

from quantmcu.data.arrays import ArrayDataset
from quantmcu.data.dataset import Dataset, RememberedDataset, Sample
from quantmcu.data.images import ImageFolder
from quantmcu.data.inputs import ImageGeometry, InputSpec, input_specs, original_shape
from quantmcu.data.open import SOURCES, Source, open_dataset
from quantmcu.data.picture import sample_picture
from quantmcu.data.preprocess import ChannelAffine, Preprocess
from quantmcu.data.preprocess_file import read_preprocess_file, write_preprocess_file
from quantmcu.data.presets import PRESET_DESCRIPTIONS, load_preprocess
from quantmcu.data.random_inputs import RandomDataset

__all__ = [
    "PRESET_DESCRIPTIONS",
    "SOURCES",
    "ArrayDataset",
    "ChannelAffine",
    "Dataset",
    "ImageFolder",
    "ImageGeometry",
    "InputSpec",
    "Preprocess",
    "RandomDataset",
    "RememberedDataset",
    "Sample",
    "Source",
    "input_specs",
    "load_preprocess",
    "open_dataset",
    "original_shape",
    "read_preprocess_file",
    "sample_picture",
    "write_preprocess_file",
]
