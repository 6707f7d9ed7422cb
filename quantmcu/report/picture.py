"""Pictures of `quantmcu plan` and `quantmcu explore`: SVG from templates."""

from __future__ import annotations

import math
from typing import Any

from quantmcu.report.templates import environment


def render_picture(template: str, **values: Any) -> str:
    """SVG text of a template, which can also stand within HTML."""
    text: str = environment().get_template(template).render(**values)
    return text


def round_marks(low: float, high: float, most: int) -> list[float]:
    """At most `most` + 1 round numbers from `low` to `high`, evenly spaced by 1, 2 or 5 times a power of ten."""
    least = max(high - low, 1e-12) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
    return [step * index for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
