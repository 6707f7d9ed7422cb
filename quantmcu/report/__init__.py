"""One result, told: as tables on a terminal and as a page for a browser; and two of them side by side."""

from quantmcu.report.comparison_page import render_comparison, write_comparison
from quantmcu.report.html import page_of, render_report, write_report

__all__ = ["page_of", "render_comparison", "render_report", "write_comparison", "write_report"]
