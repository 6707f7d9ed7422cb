"""Real builds through `pio run`: what comes out, and what a user is told when it fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from quantmcu.build import build_project
from quantmcu.build.pio import platformio_environment
from quantmcu.errors import ExitStatus, QuantMCUError, ToolError, UsageError
from quantmcu.targets import list_boards, load_board
from tests.build.conftest import Build
from tests.build.tiny_network import write_tiny

F767 = load_board("nucleo-f767")
TOOLCHAINS = [pytest.param("gcc", marks=pytest.mark.gcc), "zig"]
# errors are read from either compiler's output; where there is GCC, zig's turn comes in the long run
ZIG_LATER = pytest.param("zig", marks=pytest.mark.slow) if shutil.which("arm-none-eabi-gcc") else "zig"


@pytest.fixture(params=[TOOLCHAINS[0], ZIG_LATER])
def toolchain(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_firmware_of_nucleo_f767(build: Build, toolchain: str) -> None:
    result = build("nucleo-f767", toolchain)
    with result.elf.open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_entry"] == symbol(elf, "Reset_Handler")
        sections = {section.name: section for section in elf.iter_sections()}
        assert sections[".vectors"]["sh_addr"] == 0x08000000
        assert sections[".vectors"]["sh_size"] == 4 * (16 + 110)
        assert sections[".stack"]["sh_addr"] == 0x20000000
        assert sections[".hot_text"]["sh_addr"] == 0x20
        assert sections[".arena.dtcm"]["sh_type"] == "SHT_NOBITS"
        first_words = sections[".vectors"].data()[:8]
        assert int.from_bytes(first_words[:4], "little") == 0x20000000 + F767.stack_bytes
        assert int.from_bytes(first_words[4:], "little") == symbol(elf, "Reset_Handler")
    assert result.bin.read_bytes()[:8] == first_words
    assert result.compiler.startswith({"gcc": "arm-none-eabi-gcc 1", "zig": "zig 0."}[toolchain])
    assert "-O2" in result.flags
    assert result.seconds > 0
    assert not (result.elf.parent / ".pio").exists(), "it holds absolute paths"


def symbol(elf: ELFFile, name: str) -> int:
    return int(elf.get_section_by_name(".symtab").get_symbol_by_name(name)[0]["st_value"])


@pytest.mark.slow
@pytest.mark.gcc
def test_parallel_builds_elsewhere_give_the_same_bytes(build: Build, tmp_path: Path) -> None:
    folders = [write_tiny(tmp_path / name, F767) for name in ("one", "two")]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda folder: build_project(folder, F767, toolchain="gcc"), folders))
    expected = build("nucleo-f767", "gcc")
    for result in results:
        assert result.elf.read_bytes() == expected.elf.read_bytes()
        assert result.bin.read_bytes() == expected.bin.read_bytes()


def test_a_moved_project_builds_by_plain_platformio(build: Build, tmp_path: Path, toolchain: str) -> None:
    """As a user does who has PlatformIO but knows nothing of quantmcu; whatever the folder is called."""
    original = build("nucleo-f767", toolchain).elf.parent
    moved = tmp_path / "it's a, 'b' #1; \"ä 名\" & (c) `d` %e%"
    shutil.copytree(original, moved)
    run = subprocess.run(
        [sys.executable, "-m", "platformio", "run"],
        cwd=moved,
        env=platformio_environment({"QUANTMCU_TOOLCHAIN": toolchain}),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Flash: [" in run.stdout
    assert (moved / ".pio/build/nucleo-f767/firmware.bin").read_bytes() == (original / "firmware.bin").read_bytes()
    elf = (moved / ".pio/build/nucleo-f767/firmware.elf").read_bytes()
    assert elf == (original / "firmware.elf").read_bytes(), "a folder's name has no place in debug information"


def test_a_folder_that_platformio_takes_for_a_variable(tmp_path: Path) -> None:
    folder = tmp_path / "net-$HOME"
    with pytest.raises(UsageError, match=r"PlatformIO can't build in a folder with \$ in its path[\s\S]*--out"):
        build_project(folder, F767)
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.gcc
def test_a_project_copied_with_its_work_folder_is_not_built_by_the_originals_platform(tmp_path: Path) -> None:
    original = write_tiny(tmp_path / "original", F767)
    command = [sys.executable, "-m", "platformio", "run"]
    subprocess.run(command, cwd=original, env=platformio_environment(), capture_output=True, check=True)
    shutil.copytree(original, tmp_path / "copy")
    run = subprocess.run(command, cwd=tmp_path / "copy", env=platformio_environment(), capture_output=True, text=True)
    assert run.returncode != 0
    assert "delete .pio and build again" in run.stderr
    shutil.rmtree(tmp_path / "copy" / ".pio")
    subprocess.run(command, cwd=tmp_path / "copy", env=platformio_environment(), capture_output=True, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("board", list_boards(), ids=lambda board: board.id)
def test_every_board_links(board, build: Build, toolchain: str) -> None:
    result = build(board.id, toolchain)
    assert result.bin.stat().st_size < 32 * 1024
    with result.elf.open("rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            if segment["p_filesz"]:
                assert board.flash.contains(segment["p_paddr"])
            assert board.region_of(segment["p_vaddr"]) is not None


def test_overflowing_region_is_named_with_the_bytes(tmp_path: Path, toolchain: str, build: Build) -> None:
    """The arena alone is 1,000 bytes larger than DTCM, beside the stack, fault record and variables."""
    write_tiny(tmp_path, F767, arena_bytes=131072 + 1000)
    with pytest.raises(QuantMCUError) as caught:
        build_project(tmp_path, F767, toolchain=toolchain)
    error = caught.value
    assert error.status == ExitStatus.CANNOT_COMPILE
    assert error.what == "the firmware does not fit into dtcm of nucleo-f767"
    needed = int(
        error.why.removeprefix("dtcm has 131,072 bytes and ").removesuffix(" more are needed").replace(",", "")
    )
    assert 1000 + F767.stack_bytes < needed < 1000 + F767.stack_bytes + 8192
    assert "save RAM" in error.hint


def test_compile_error_shows_the_compilers_words(tmp_path: Path, toolchain: str) -> None:
    write_tiny(tmp_path, F767, extra="int unused = no_such_name;")
    with pytest.raises(ToolError) as caught:
        build_project(tmp_path, F767, toolchain=toolchain)
    error = caught.value
    assert error.what == "the firmware does not compile"
    assert "src/model/model.c:" in error.why
    assert "no_such_name" in error.why
    log = Path(error.hint.removeprefix("the whole output: "))
    assert "no_such_name" in log.read_text()


def test_warnings_are_errors(tmp_path: Path, toolchain: str) -> None:
    write_tiny(tmp_path, F767, extra="int never_read = 1;")
    with pytest.raises(ToolError, match="never_read"):
        build_project(tmp_path, F767, toolchain=toolchain)


def test_assembly_sources_are_built(tmp_path: Path, toolchain: str) -> None:
    """Both spellings: with preprocessor (.S) and without (.s)."""
    write_tiny(tmp_path, F767, extra="extern int five(void), six(void); if (five() > six()) for (;;);")
    head = ".syntax unified\n.thumb\n.section .text\n"
    for name, value, suffix in (("five", 5, "S"), ("six", 6, "s")):
        body = f"{head}.global {name}\n.thumb_func\n{name}:\n  movs r0, #{value}\n  smlad r1, r1, r1, r1\n  bx lr\n"
        (tmp_path / "src" / "model" / f"{name}.{suffix}").write_text(body)
    result = build_project(tmp_path, F767, toolchain=toolchain)
    with result.elf.open("rb") as file:
        elf = ELFFile(file)
        assert F767.flash.contains(symbol(elf, "five"))
        assert F767.flash.contains(symbol(elf, "six"))


def test_missing_symbol_is_named(tmp_path: Path, toolchain: str) -> None:
    write_tiny(tmp_path, F767, extra="extern void nowhere(void); nowhere();")
    with pytest.raises(ToolError) as caught:
        build_project(tmp_path, F767, toolchain=toolchain)
    assert caught.value.what == "the firmware does not link"
    assert caught.value.why == "not defined anywhere: nowhere"
