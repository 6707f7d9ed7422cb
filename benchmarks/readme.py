"""The tour in README.md: runs its commands and puts what they print into it, or compares with --check.

    python -m benchmarks.readme            # a few minutes
    python -m benchmarks.readme --check    # status 1, and the difference, where README.md is out of date

A command without output in README.md is run all the same, since later ones build on it; of longer outputs README.md
shows the first paragraphs, as many as it had. `...` stands for the options of the first `compile`. Figures belong to
the compiler that is named among them. How long a compilation took is left out: it says more of the machine.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (quantmcu .*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_COMMIT = re.compile(r"(QuantMCU [\d.]+), commit \S+")
_COMPILE_TIME = re.compile(r"^compile time, s .*\n", re.MULTILINE)


class Tour:
    """The commands of README.md in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.options = folder, ""
        (folder / "demo").symlink_to(ROOT / "demo")

    def block(self, match: re.Match[str]) -> str:
        """A block with what its commands print now."""
        return _COMMAND.sub(self._command, match[0])

    def _command(self, match: re.Match[str]) -> str:
        command, shown = match[1], match[2]
        if command.startswith("quantmcu compile ") and not self.options:
            self.options = re.sub(r" --out \S+", "", command.split(".onnx ", 1)[1])
        printed = self._printed(command.replace("...", self.options))
        paragraphs = len(shown.strip().split("\n\n")) if shown.strip() else 0
        kept = "\n\n".join(printed.strip("\n").split("\n\n")[:paragraphs])
        after = shown[len(shown.rstrip("\n")) + 1 :]  # an empty line before the next command
        return f"$ {command}\n{kept}\n{after}" if kept else match[0]

    def _printed(self, command: str) -> str:
        print(f"$ {command}", file=sys.stderr, flush=True)
        arguments = [sys.executable, "-m", *shlex.split(command)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
        done = subprocess.run(
            arguments, cwd=self.folder, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True
        )
        return _COMPILE_TIME.sub("", _COMMIT.sub(r"\1", done.stdout))


def main() -> int:
    """Runs the tour; the exit status says whether README.md was right, for --check."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, compare")
    check = parser.parse_args().check
    before = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="quantmcu-readme-") as folder:
        after = _BLOCK.sub(Tour(Path(folder)).block, before)
    if not check:
        README.write_text(after, encoding="utf-8")
        return 0
    sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "README.md", "now"))
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main())
