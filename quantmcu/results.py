"""The result of a compilation and of what was measured on it: a folder with a result.json."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantmcu.errors import UsageError

SCHEMA = 1
FILE = "result.json"


@dataclass
class Result:
    """A compiled network on disk.

    Attributes:
        folder: where everything is.
        data: the content of result.json (schema 1).
    """

    folder: Path
    data: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Result:
        """The result in `folder`.

        Raises:
            UsageError: there is none, or it is damaged or of another schema.
        """
        path = folder / FILE
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise UsageError("no result.json here", str(folder), hint="give the folder that `quantmcu compile --out` wrote") from error
        except json.JSONDecodeError as error:
            raise UsageError("result.json is damaged", str(path), str(error), "compile the model again") from error
        if data.get("schema") != SCHEMA:
            raise UsageError(f"result.json has schema {data.get('schema')}, not {SCHEMA}", str(path), hint="compile the model again")
        return cls(folder, data)

    def save(self) -> None:
        """Writes result.json, whole or not at all."""
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=FILE)
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(self.data, file, indent=1)
                file.write("\n")
            os.replace(temporary, self.folder / FILE)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
