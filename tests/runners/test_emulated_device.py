"""Sessions with real firmware: built for a board, run in the emulator and in QEMU, asked as a board is."""

import threading
from pathlib import Path

import fake_network
import pytest
from native_device import BadLine

from quantmcu.build import build_project, write_project
from quantmcu.build.toolchain import installed_toolchains
from quantmcu.device import DeviceSession, SerialTransport
from quantmcu.emulator.emulator import Emulator
from quantmcu.emulator.qemu import start_qemu
from quantmcu.emulator.transport import EmulatorPty, EmulatorTransport
from quantmcu.errors import ToolError
from quantmcu.targets import load_board

HEIGHT = 100  # tensors of two chunks


def build(folder: Path, board_id: str) -> Path:
    if not installed_toolchains():
        pytest.skip("no compiler for the boards: neither arm-none-eabi-gcc nor the Python package ziglang")
    board = load_board(board_id)
    folder.mkdir()
    write_project(folder, board, fake_network.files(HEIGHT), name="fake")
    return build_project(folder, board).elf


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    return build(tmp_path_factory.mktemp("board") / "project", "nucleo-f767")


def emulator(firmware):
    return Emulator(firmware, load_board("nucleo-f767"))


def check_inference(session, seed):
    inputs = fake_network.random_inputs(seed, HEIGHT)
    assert fake_network.same(session.infer(inputs), fake_network.expected(inputs))


def test_everything_that_a_board_is_asked(firmware):
    session = DeviceSession(EmulatorTransport(emulator(firmware)), "emulated", fake_network.SHA256)
    identity = session.identify()
    assert (identity.board, identity.clock_hz, identity.has_cycle_counter) == ("nucleo-f767", 216_000_000, True)
    for seed in range(5):
        check_inference(session, seed)
    times = session.run(40)
    assert times.first_run == 5
    profile = session.profile(3)
    assert profile.names == ("sum", "reduce")
    # a model counts: warm runs take the same cycles, but for a few where the counter is read inside a block
    assert times.minimum == pytest.approx(profile.total_minimum, rel=0.02)
    assert 0 < times.overhead_cycles < 100
    marks = session.marks()
    assert 0 < marks.stack_used < marks.stack_size
    assert marks.arena_bytes == 15 * HEIGHT
    session.reset()
    check_inference(session, 9)
    assert session.run(1).first_run == 1


def test_a_fault_on_the_board(firmware):
    session = DeviceSession(EmulatorTransport(emulator(firmware)), "emulated")
    with pytest.raises(ToolError) as caught:
        session.infer(fake_network.misbehaving_inputs(fake_network.WRITE, HEIGHT))
    assert "the firmware crashed" in caught.value.what
    assert caught.value.why.startswith(
        "MemManage (data access that the memory protection forbids) at address 0x60000000"
    )
    assert ", pc 0x0800" in caught.value.why
    assert "addr2line -e firmware.elf 0x" in caught.value.hint
    check_inference(session, 1)


def test_a_bad_line_to_the_emulated_boards_terminal(firmware):
    """Over a real pseudo-terminal, with a reset in the middle."""
    board, done = emulator(firmware), threading.Event()
    with EmulatorPty(board) as terminal:
        server = threading.Thread(target=terminal.serve, args=(done.is_set,))
        server.start()
        try:
            line = BadLine(SerialTransport(terminal.path), 1, 5e-4)
            line.lost_writes = line.doubled_writes = 0.05
            session = DeviceSession(line, terminal.path, timeout=0.2)
            session._line.attempts = 20
            for seed in range(6):
                if seed == 3:
                    session.reset()
                check_inference(session, seed)
            assert line.damage > 5
            session.close()
        finally:
            done.set()
            server.join()


@pytest.mark.qemu
def test_qemu(tmp_path):
    firmware = build(tmp_path / "project", "qemu-m4")
    with DeviceSession(start_qemu(firmware, load_board("qemu-m4")), "QEMU") as session:
        for seed in range(5):
            check_inference(session, seed)
        with pytest.raises(ToolError, match="this machine has no cycle counter, so nothing can be timed on it"):
            session.run(1)
