"""One result, told: as tables on a terminal and as a page for a browser."""

from quantmcu.report.html import render_report, write_report

__all__ = ["render_report", "write_report"]
