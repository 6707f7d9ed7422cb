"""Where QuantMCU keeps what can be made again: PlatformIO's packages and build logs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "QUANTMCU_CACHE"


def cache_folder() -> Path:
    """`$QUANTMCU_CACHE`, else `quantmcu` in the user's cache folder. It may not exist yet."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).absolute()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "quantmcu" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "quantmcu"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "quantmcu"
