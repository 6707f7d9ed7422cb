"""Names of arrays for people: those of patch stages are made up, no model has them."""

from __future__ import annotations

from collections.abc import Collection

from quantmcu.program.added_names import stage_end

_PARTS = {
    "/carried": "rows of {} kept between patches",
    "/columns": "columns of {} kept between patches",
    "/fresh": "newly computed part of {} in a patch",
}


def describe_array(array: str, stages: Collection[str]) -> str:
    """What an array holds: `rows of conv_1 kept between patches of the stage ending at conv_9`.

    Args:
        array: its name in a timeline, that of a tensor or `<stage>/<tensor>` with `/carried`, `/columns` or `/fresh`.
        stages: names of the patch stages.
    """
    stage = next((name for name in stages if array.startswith(f"{name}/")), None)
    if stage is None:
        return array
    local = array.removeprefix(f"{stage}/")
    suffix = next((suffix for suffix in _PARTS if local.endswith(suffix)), "")
    what = _PARTS.get(suffix, "{} in a patch").format(local.removesuffix(suffix))
    return f"{what} of the stage ending at {stage_end(stage)}"
