"""Compiler and linker flags of the firmware. Standalone: this file travels with each generated project."""

# zig's (LLVM's) name of each GCC -mfpu; without one the core's float registers stay unused
_ZIG_FPU = {"fpv4-sp-d16": "vfp4d16sp", "fpv5-sp-d16": "fp_armv8d16sp", "fpv5-d16": "fp_armv8d16"}

# Optional in Armv8-M, so that LLVM leaves them out; the chips of our boards have them.
_ZIG_DSP = {"cortex-m33": "+dsp"}

# zig takes a target without operating system for one where memcpy is no known function, and keeps frame pointers:
# four-byte copies, which kernels use for unaligned loads, would be calls.
_ZIG_COMPILE = ["-fhosted", "-fomit-frame-pointer", "-fno-sanitize=undefined"]


def machine_flags(kind: str, core: str, fpu: str | None) -> list[str]:
    """Flags that name the core and the float ABI; needed by the compiler and by the linker alike."""
    if kind == "zig":
        features = _ZIG_DSP.get(core, "") + (f"+{_ZIG_FPU[fpu]}" if fpu else "")
        abi = "eabihf" if fpu else "eabi"
        return ["-target", f"thumb-freestanding-{abi}", f"-mcpu={core.replace('-', '_')}{features}"]
    floats = [f"-mfpu={fpu}", "-mfloat-abi=hard"] if fpu else ["-mfloat-abi=soft"]
    return [f"-mcpu={core}", "-mthumb", *floats]


def compile_flags(kind: str, core: str, fpu: str | None) -> list[str]:
    """For every source file. Floats are not contracted, so that every compiler gives the same bits."""
    return [
        *machine_flags(kind, core, fpu),
        "-ffunction-sections",
        "-fdata-sections",
        "-fno-unwind-tables",
        "-fno-asynchronous-unwind-tables",
        "-fno-math-errno",
        "-ffp-contract=off",
        # else GCC reads inline assembly for Cortex-M0+ in an older syntax
        *(_ZIG_COMPILE if kind == "zig" else ["-masm-syntax-unified"]),
    ]


def link_flags(kind: str, core: str, fpu: str | None) -> list[str]:
    """No C library and no start files: src/port/ brings both.

    zig has none for this target, and with -nostdlib would leave out its compiler support routines.
    """
    return [
        *machine_flags(kind, core, fpu),
        *(["-nostdlib"] if kind == "gcc" else []),
        "-Wl,--gc-sections",
        "-Wl,--entry=Reset_Handler",
        "-Wl,--build-id=none",
    ]


def link_libraries(kind: str) -> list[str]:
    """Compiler support routines (64-bit division and the like); zig links its own by itself."""
    return ["gcc"] if kind == "gcc" else []


def without_paths(kind: str, response_file: str) -> list[str]:
    """Flags that keep the project's folder out of debug information; GCC reads its own from `response_file`."""
    return [f"@{response_file}"] if kind == "gcc" else ["-ffile-compilation-dir=."]


def response_text(flags: list[str]) -> str:
    """Flags as GCC reads them from a response file (`@FILE`): a backslash takes any character as it is."""
    return "".join("".join(c if c.isalnum() else f"\\{c}" for c in flag) + "\n" for flag in flags)
