"""Geometry of the page's charts: templates only draw what is computed here."""

from quantmcu.report.charts.bits import bit_rows
from quantmcu.report.charts.facts import flattened
from quantmcu.report.charts.layers import Layer, cycles_are_measured, layers
from quantmcu.report.charts.operations import operations
from quantmcu.report.charts.patches import stages
from quantmcu.report.charts.sizes import flash_parts, regions
from quantmcu.report.charts.timeline import timeline

__all__ = [
    "Layer",
    "bit_rows",
    "cycles_are_measured",
    "flash_parts",
    "flattened",
    "layers",
    "operations",
    "regions",
    "stages",
    "timeline",
]
