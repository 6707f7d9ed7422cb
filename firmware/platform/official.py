"""Extra script for PlatformIO's official platforms: our flags, for compiler and linker, in place of theirs.

Those platforms set no float ABI, and build for size with GCC 7 unless told otherwise.
"""

import json
import sys
from pathlib import Path

Import("env")

here = Path(env.subst("$PROJECT_DIR")) / "platform"
sys.path.insert(0, str(here / "builder"))
import flags

(manifest,) = (here / "boards").glob("*.json")
facts = json.loads(manifest.read_text(encoding="utf-8"))["quantmcu"]
target = ("gcc", facts["core"], facts["fpu"])
env.Append(
    CCFLAGS=flags.compile_flags(*target),
    LINKFLAGS=flags.link_flags(*target),
    LIBS=flags.link_libraries("gcc"),
)
