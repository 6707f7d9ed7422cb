"""A conversation with a device that runs QuantMCU firmware: a board, or the emulator in its place."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Self, TypeVar

from quantmcu.device.fault import FaultRecord
from quantmcu.device.line import Line, RefusedError, RestartedError
from quantmcu.device.machine import Machine
from quantmcu.device.ports import find_port
from quantmcu.device.protocol import (
    PROFILE_STEPS,
    PROTOCOL_VERSION,
    RUNS,
    ErrorCode,
    Flags,
    FrameType,
    Header,
    Identity,
    InputNeed,
    PayloadReader,
    parse_profile,
    parse_runs,
    parse_tensor,
)
from quantmcu.device.times import Profile, RunTimes
from quantmcu.device.transfer import ChunkedTransfer
from quantmcu.device.transport import SerialTransport, Transport
from quantmcu.errors import ToolError, UsageError
from quantmcu.runner import Codes, RunnerInfo, TensorInfo, pack_inputs
from quantmcu.targets import Board

T = TypeVar("T")

INFERENCE_ATTEMPTS = 3

#: Refusals that mean: the device has forgotten what it was told, so it has reset.
_FORGOTTEN = (ErrorCode.LOAD_ORDER, ErrorCode.INPUTS_NOT_LOADED, ErrorCode.OUTPUTS_NOT_VALID)


class DeviceSession(Machine):
    """Runs the network on a device; a Runner (quantmcu/runner.py).

    Every method asks the device and may raise ToolError: no answer, other firmware, another model, a fault with its
    cause and address. What the line loses, doubles or flips is asked again; a result is returned only if all inputs
    were loaded, run and read without a restart in between.

    Args:
        transport: the line.
        where: names the device in messages, such as "nucleo-f767 on /dev/ttyACM0".
        expected_sha256: of the compiled program that must be on the device; None accepts any.
        timeout: seconds until a request is sent again; several such make the device count as silent.
        run_timeout: seconds that one run of the network may take.
    """

    def __init__(
        self,
        transport: Transport,
        where: str = "device",
        expected_sha256: str | None = None,
        timeout: float = 1.0,
        run_timeout: float = 30.0,
    ) -> None:
        super().__init__(Line(transport, where, timeout), where)
        self._expected_sha256 = expected_sha256
        self._run_timeout = run_timeout
        self._transfer = ChunkedTransfer(self._line)
        self._identity: Identity | None = None
        #: A fault recorded before this session began. It is cleared on the device, so that a new one is known as new.
        self.earlier_fault: FaultRecord | None = None

    @classmethod
    def open_port(cls, port: str, baud: int = 115200, expected_sha256: str | None = None) -> Self:
        """A session on a serial port, the path of a pseudo-terminal, or `socket://host:port`.

        Raises:
            ToolError: the port cannot be opened.
        """
        return cls(SerialTransport(port, baud), port, expected_sha256)

    @classmethod
    def open_board(cls, board: Board, port: str | None = None, expected_sha256: str | None = None) -> Self:
        """A session with a board on the port that the user names, else on the one that it is found at.

        Raises:
            ToolError: no such board, several, no permission, or the port cannot be opened.
        """
        found = find_port(board, port)
        return cls(SerialTransport(found, board.console.baud), f"{board.id} on {found}", expected_sha256)

    def close(self) -> None:
        """Closes the line."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what the firmware is ------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """The firmware's identity, asked once in a session.

        Raises:
            ToolError: no answer, another version of the protocol, or another model than expected.
        """
        if self._identity is None:
            header = self._parsed(Header.parse, self._line.ask(FrameType.IDENTIFY, over_restart=True))
            self._check(header)
            inputs = self._tensors(0, header.input_count)
            outputs = self._tensors(1, header.output_count)
            if header.flags & Flags.FAULT_RECORDED:
                self.earlier_fault = self.fault()
                self.clear_fault()
            self._identity = Identity(
                header.protocol,
                header.api,
                header.model,
                header.model_sha256,
                header.board,
                header.clock_hz,
                bool(header.flags & Flags.CYCLE_COUNTER),
                inputs,
                outputs,
                header.step_count,
            )
        return self._identity

    @property
    def info(self) -> RunnerInfo:
        """See Runner."""
        identity = self.identify()
        runner = f"{identity.board} ({self._where})"
        return RunnerInfo(runner, identity.model, identity.model_sha256, identity.inputs, identity.outputs)

    @cached_property
    def step_names(self) -> tuple[str, ...]:
        """Names of the network's steps."""
        ask = self._line.ask
        answers = [
            ask(FrameType.DESCRIBE_STEP, struct.pack("<H", step), over_restart=True)
            for step in range(self.identify().step_count)
        ]
        return tuple(self._parsed(lambda answer: PayloadReader(answer).string(), answer) for answer in answers)

    def _check(self, header: Header) -> None:
        if header.protocol != PROTOCOL_VERSION:
            raise ToolError(
                "the firmware on the device speaks another version of the protocol",
                self._where,
                f"the device speaks version {header.protocol}, this program {PROTOCOL_VERSION}",
                "compile and flash again with this version of quantmcu",
            )
        if self._expected_sha256 not in (None, header.model_sha256):
            raise ToolError(
                "the device runs another model than this one",
                self._where,
                f"expected {self._expected_sha256}, the device has {header.model_sha256} ({header.model!r})",
                "flash this project with `quantmcu flash DIR`",
            )

    def _tensors(self, kind: int, count: int) -> tuple[TensorInfo, ...]:
        tensors = []
        for index in range(count):
            answer = self._line.ask(FrameType.DESCRIBE_TENSOR, struct.pack("<BH", kind, index), over_restart=True)
            tensor = self._parsed(parse_tensor, answer)
            tensor.check(self._where)
            tensors.append(tensor)
        return tuple(tensors)

    # -- inference -----------------------------------------------------------------------------------------------

    def infer(self, inputs: Sequence[Codes]) -> list[Codes]:
        """One inference. See Runner.

        Raises:
            UsageError: the inputs do not fit the network.
            ToolError: no answer, a fault, or restarts that do not end.
        """
        identity = self.identify()
        buffers = pack_inputs(identity.inputs, inputs)

        def once() -> list[Codes]:
            self._load(buffers)
            self._run(1, fresh_inputs=buffers)
            return [self._read_output(index, tensor) for index, tensor in enumerate(identity.outputs)]

        return self._over_restarts(once)

    def load_inputs(self, inputs: Sequence[Codes]) -> None:
        """Loads all inputs; the next run consumes them.

        Raises:
            UsageError: the inputs do not fit the network.
            ToolError: as infer.
        """
        buffers = pack_inputs(self.identify().inputs, inputs)
        self._over_restarts(lambda: self._load(buffers))

    def run(self, count: int = 1, inputs: Sequence[Codes] | None = None) -> RunTimes:
        """Times `count` runs. Without `inputs`, and after the first run, on whatever lies in the buffers.

        Raises:
            UsageError: the count is not positive, or the inputs do not fit the network.
            ToolError: as infer, or the device has no cycle counter.
        """
        identity = self._timed_identity(count)
        if inputs is not None:
            self.load_inputs(inputs)

        def once() -> RunTimes:
            parts = [self._run(min(RUNS, count - done)) for done in range(0, count, RUNS)]
            cycles = tuple(value for part in parts for value in part.cycles)
            return replace(parts[0], cycles=cycles, clock_hz=identity.clock_hz)

        return self._over_restarts(once)

    def profile(self, count: int = 10, inputs: Sequence[Codes] | None = None) -> Profile:
        """Times each step in `count` runs, as `run` does.

        More than 256 steps are timed in several windows, each with runs of its own.

        Raises:
            UsageError, ToolError: as run.
        """
        identity = self._timed_identity(count)
        names = self.step_names
        if inputs is not None:
            self.load_inputs(inputs)
        windows = [
            (first, min(PROFILE_STEPS, identity.step_count - first))
            for first in range(0, identity.step_count, PROFILE_STEPS)
        ]

        def once() -> Profile:
            runs = [[self._profile(first, size) for first, size in windows] for _ in range(count)]
            number, overhead = runs[0][0][0], runs[0][0][1]
            by_step = zip(*([cycles for window in run for cycles in window[3]] for run in runs), strict=True)
            whole = RunTimes(tuple(run[0][2] for run in runs), number, overhead, identity.clock_hz)
            return Profile(names, tuple(replace(whole, cycles=cycles) for cycles in by_step), whole)

        return self._over_restarts(once)

    def _timed_identity(self, count: int) -> Identity:
        if count < 1:
            raise UsageError("the number of runs must be at least 1", why=f"got {count}")
        identity = self.identify()
        if not identity.has_cycle_counter:
            raise ToolError(
                "this machine has no cycle counter, so nothing can be timed on it",
                self._where,
                "its counter reads the same value for ever (QEMU's does)",
                "measure with `--on emulator` or on a board",
            )
        return identity

    def _load(self, buffers: Sequence[bytes]) -> None:
        for index, buffer in enumerate(buffers):
            if self.identify().inputs[index].on_demand:
                continue

            def chunk(offset: int, size: int, index: int = index, buffer: bytes = buffer) -> bytes:
                return struct.pack("<HI", index, offset) + buffer[offset : offset + size]

            self._transfer.run(FrameType.LOAD_INPUT, len(buffer), chunk)

    def _run(self, count: int, fresh_inputs: Sequence[bytes] | None = None) -> RunTimes:
        """Runs; on `fresh_inputs`, which have been loaded or are on demand, where results are wanted."""
        must_be_fresh = fresh_inputs is not None

        def deliver(question: bytes) -> bytes:
            need = self._parsed(InputNeed.parse, question)
            tensor = self.identify().inputs[need.index]
            part = tensor.rectangle((fresh_inputs or ())[need.index], need.row, need.column, need.rows, need.columns)
            return struct.pack("<I", need.number) + part[need.offset : need.offset + need.length]

        arguments = struct.pack("<BB", must_be_fresh, count)
        answer = self._line.ask(FrameType.RUN, arguments, work_seconds=self._run_timeout, deliver=deliver)
        fresh, number, overhead, cycles = self._parsed(lambda payload: parse_runs(payload, count), answer)
        if must_be_fresh and not fresh:
            raise RestartedError
        return RunTimes(cycles, number, overhead, 0)

    def _profile(self, first: int, size: int) -> tuple[int, int, int, tuple[int, ...]]:
        arguments = struct.pack("<HH", first, size)
        answer = self._line.ask(FrameType.PROFILE, arguments, work_seconds=self._run_timeout)
        return self._parsed(lambda payload: parse_profile(payload, size), answer)

    def _read_output(self, index: int, tensor: TensorInfo) -> Codes:
        def chunk(offset: int, size: int) -> bytes:
            return struct.pack("<HIH", index, offset, size)

        buffer = self._transfer.run(FrameType.READ_OUTPUT, tensor.byte_count, chunk)
        if len(buffer) != tensor.byte_count:
            why = f"{len(buffer)} bytes of output in place of {tensor.byte_count}"
            raise ToolError("the firmware's answer cannot be understood", self._where, why)
        return tensor.unpack(buffer)

    def _over_restarts(self, action: Callable[[], T]) -> T:
        """Does `action`, from its start again when the device has reset in the middle without a fault."""
        for _ in range(INFERENCE_ATTEMPTS):
            try:
                return action()
            except RestartedError:
                pass
            except RefusedError as error:
                if error.code not in _FORGOTTEN:
                    raise self._refusal(error) from error
            self._raise_fault()
        raise ToolError(
            "the device restarts again and again",
            self._where,
            f"{INFERENCE_ATTEMPTS} attempts ended in a reset, and no fault is recorded",
            "check its power supply (USB hub, cable)",
        )
