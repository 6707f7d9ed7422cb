"""Build and upload by PlatformIO (SCons): C sources of the project to firmware.elf and firmware.bin."""

import json
import os
import sys
from pathlib import Path

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
platform = env.PioPlatform()
board = env.BoardConfig()

# PlatformIO remembers the platform's folder in .pio: in a copied project that is the original's
if not (Path(env.subst("$PROJECT_DIR")) / "platform").samefile(platform.get_dir()):
    sys.stderr.write("Error: this project was copied with its .pio folder; delete .pio and build again\n")
    env.Exit(1)

sys.path.insert(0, str(Path(platform.get_dir()) / "builder"))
import flags
import image
import upload

facts = board.get("quantmcu")
flash = next(region for region in facts["memory"] if region["kind"] == "flash")
toolchain = platform.toolchain
kind = toolchain.kind if toolchain else "gcc"
target = (kind, facts["core"], facts["fpu"])

if toolchain:
    env.PrependENVPath("PATH", toolchain.folder)
driver = "zig cc" if kind == "zig" else "arm-none-eabi-gcc"

env.Replace(
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    CC=driver,
    CXX=driver,
    AS=driver,
    LINK=driver,
    AR="zig ar" if kind == "zig" else "arm-none-eabi-ar",
    RANLIB="zig ranlib" if kind == "zig" else "arm-none-eabi-ranlib",
    SIZETOOL=sys.executable,  # PlatformIO checks sizes only where this is set
    SIZEPROGREGEXP=r"^flash (\d+)",
    SIZEDATAREGEXP=r"^flash \d+ ram (\d+)",
    SIZECHECKCMD=[sys.executable, image.__file__, "size", "$SOURCES", flash["origin"], str(flash["size"])],
)
# Compilers run in the project's folder; its own path, which may hold any character, is in no command line
build_folder = Path(env.subst("$BUILD_DIR"))
work = Path(os.path.relpath(build_folder, env.subst("$PROJECT_DIR"))).as_posix()
if kind == "gcc":
    build_folder.mkdir(parents=True, exist_ok=True)
    text = flags.response_text([f"-ffile-prefix-map={env.subst('$PROJECT_DIR')}=."])
    (build_folder / "paths.txt").write_text(text, encoding="utf-8")
without_paths = flags.without_paths(kind, f"{work}/paths.txt")
env.Append(
    CCFLAGS=[*flags.compile_flags(*target), "-g", *without_paths],
    ASFLAGS=[*flags.machine_flags(*target), "-c"],
    LINKFLAGS=flags.link_flags(*target),
    LIBS=flags.link_libraries(kind),
)
if kind == "gcc":
    env.Append(LINKFLAGS=["-Xlinker", "-Map", "-Xlinker", f"{work}/firmware.map"])


def write_binary(target, source, env):
    """SCons action: the flash image of an ELF file."""
    Path(str(target[0])).write_bytes(image.binary(Path(str(source[0])).read_bytes()))


def write_facts(env):
    """Tells `quantmcu` which compiler and flags built the firmware."""
    compiler = {
        "kind": kind,
        "version": toolchain.version() if toolchain else platform.get_package_version("toolchain-gccarmnoneeabi"),
        "flags": [str(flag) for flag in env["CCFLAGS"] if flag not in without_paths],
    }
    (build_folder / "compiler.json").write_text(json.dumps(compiler, indent=1) + "\n", encoding="utf-8")


env.Append(BUILDERS={"FlashImage": Builder(action=env.VerboseAction(write_binary, "Building $TARGET"), suffix=".bin")})

if "nobuild" in COMMAND_LINE_TARGETS:  # the firmware that lies beside platformio.ini, as it is
    program, firmware = env.File("$PROJECT_DIR/firmware.elf"), env.File("$PROJECT_DIR/firmware.bin")
    AlwaysBuild(env.Alias("nobuild", firmware))
else:
    program = env.BuildProgram()
    env.Depends(program, env.subst("$PROJECT_DIR/$LDSCRIPT_PATH"))
    write_facts(env)
    firmware = env.FlashImage("$BUILD_DIR/firmware", program)
    AlwaysBuild(env.Alias("buildprog", firmware, firmware))
Default([program, firmware])

upload.add_target(env, board, program, firmware)
