"""Pages in headless Chromium: pictures of them, their layout, and what they load."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from html import escape, unescape
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 120
_LONGEST_PAGE = 9000

# The page lies in a frame: a window of Chromium can't be as narrow as a telephone.
_LAYOUT = """<!DOCTYPE html>
<iframe srcdoc="{page}" style="width: {width}px; height: 9000px; border: 0"></iframe>
<script>
window.addEventListener("load", () => {{
  const frame = document.querySelector("iframe"), inside = frame.contentDocument;
  const parts = "h1, h2, p, .tile, figure, figure svg, .chart, .scroll, .tick, .mark, .row svg";
  const name = element => element.tagName.toLowerCase() + " " + (element.getAttribute("class") || "");
  const boxes = [...inside.querySelectorAll(parts)].map(e => [e, e.getBoundingClientRect()]).map(
    ([e, r]) => ({{name: name(e), x: r.x, width: r.width, height: r.height}}));
  const resources = frame.contentWindow.performance.getEntriesByType("resource").map(r => r.name);
  const out = document.createElement("pre");
  out.textContent = JSON.stringify({{scroll: inside.documentElement.scrollWidth, boxes, resources}});
  frame.replaceWith(out);
}});
</script>
"""


def find_chromium() -> str | None:
    """The program, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name)) is not None), None)


def screenshot(chromium: str, page: Path, width: int, *, dark: bool = False) -> Image.Image:
    """The whole page, as wide as this; what is empty below its end is cut off."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.png"
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        _run(chromium, page, f"--screenshot={file}", f"--window-size={width},{_LONGEST_PAGE}", *scheme)
        image = Image.open(file).convert("RGB")
    background = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
    box = ImageChops.difference(image, background).getbbox()
    assert box is not None, "the page is empty"
    assert box[3] < _LONGEST_PAGE, "the page is longer than the picture"
    return image.crop((0, 0, image.width, box[3]))


def layout(chromium: str, page: Path, width: int) -> dict[str, Any]:
    """In CSS pixels the width that the page takes (`scroll`) and its parts (`boxes`); what it loads (`resources`)."""
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"
        frame.write_text(_LAYOUT.format(page=escape(page.read_text()), width=width))
        text = _run(chromium, frame, "--dump-dom", "--window-size=1400,9200")
    found = re.search(r"<pre>(.*?)</pre>", text, re.DOTALL)
    assert found is not None, "the script has not run"
    return dict(json.loads(unescape(found[1])))


def _run(chromium: str, page: Path, *options: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--force-device-scale-factor=1", f"--user-data-dir={profile}", *options, page.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
