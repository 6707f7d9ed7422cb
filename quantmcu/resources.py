"""Where the data folders `templates/`, `firmware/`, `boards/` and `demo/` are.

In a checkout they stand beside the package, in an installed wheel inside it (`_data/`).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Folder `name` of the product's data, in a checkout or in an installed wheel.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for parent in (_PACKAGE / "_data", _PACKAGE.parent):
        folder = parent / name
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder {name}/ is missing from this installation of quantmcu; install it again")


def platform_module(name: str) -> ModuleType:
    """Module `name` (a path without `.py`) of the PlatformIO platform in firmware/platform/.

    The platform travels with each generated project and so imports nothing of this package; what both need lives there.
    """
    path = data_folder("firmware") / "platform" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"quantmcu_platform_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # its dataclasses look themselves up there
    specification.loader.exec_module(module)
    return module
