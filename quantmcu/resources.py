"""Where the data folders `templates/`, `firmware/`, `boards/` and `demo/` are.

In a checkout they stand beside the package, in an installed wheel inside it (`_data/`).
"""

from __future__ import annotations

from pathlib import Path

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
