"""From generated files to firmware: the PlatformIO project, its build, sizes and flashing."""

from quantmcu.build.failures import FlashOverflowError
from quantmcu.build.firmware import BuildResult, build_project, flash_project, require_folder
from quantmcu.build.fit import build_to_fit
from quantmcu.build.project import write_project

__all__ = [
    "BuildResult",
    "FlashOverflowError",
    "build_project",
    "build_to_fit",
    "flash_project",
    "require_folder",
    "write_project",
]
