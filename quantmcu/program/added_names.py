"""Names of what a model does not have and the compiler adds, made of the model's own names; for people to read."""

from __future__ import annotations

_PATCHES = " patches"


def stage_name(last: str) -> str:
    """Of the patch stage that ends with the step `last`."""
    return f"{last}{_PATCHES}"


def stage_end(stage: str) -> str:
    """The last step of a stage, by the stage's name."""
    return stage.removesuffix(_PATCHES)


def load_name(stage: str, tensor: str) -> str:
    """Of the step in which each cell of a stage loads its part of `tensor`."""
    return f"{stage}: load {tensor}"


def outlier_test_name(stage: str, tensor: str) -> str:
    """Of the step that finds the class of a cell by the codes of `tensor`."""
    return f"{stage}: test {tensor}"


def joining_name(step: str) -> str:
    """Of the moment in which rows and columns kept are joined to what `step` has computed."""
    return f"{step}: join what is kept"


def crop_name(step: str, index: int) -> str:
    """Of the step that cuts out of an input what a cell needs of it."""
    return f"{step}: crop input {index}"


def rescale_name(step: str) -> str:
    """Of the step that brings an input to the scale of the output."""
    return f"{step}: rescale"


def rescaled_name(tensor: str, step: str) -> str:
    """Of `tensor` in the scale that `step` wants."""
    return f"{tensor} for {step}"


def reshape_name(tensor: str) -> str:
    """Of the step after which the bytes of `tensor` count as another shape."""
    return f"{tensor}: reshape"


def map_name(tensor: str) -> str:
    """Of `tensor` as a map with rows and channels."""
    return f"{tensor} as map"
