"""Flags of the official platform's bare-metal builds: for size, without float ABI, with the C library."""

from SCons.Script import Default, DefaultEnvironment

env = DefaultEnvironment()
core = f"-mcpu={env.BoardConfig().get('build.cpu')}"
env.Replace(
    CC="arm-none-eabi-gcc", CXX="arm-none-eabi-g++", AR="arm-none-eabi-ar", PROGNAME="firmware", PROGSUFFIX=".elf"
)
env.Append(
    CCFLAGS=["-Os", "-ffunction-sections", "-fdata-sections", "-Wall", "-mthumb", core],
    CPPDEFINES=[("F_CPU", "$BOARD_F_CPU")],
    LINKFLAGS=["-Os", "-Wl,--gc-sections,--relax", "-mthumb", core],
    LIBS=["c", "gcc", "m"],  # and stdc++, which Debian packs apart
)
Default(env.BuildProgram())
