"""The program `quantmcu`: its commands, and what becomes of errors."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

import quantmcu
from quantmcu.cli.output import Output
from quantmcu.errors import ExitStatus, QuantMCUError, ToolError, UsageError

INTERRUPTED = 128 + signal.SIGINT
REPORT = "please report it with the command and its output (again with --verbose)"
_COMMANDS = (
    *("compile", "flash", "measure", "validate", "inspect", "plan", "explore", "report"),
    *("boards", "ops", "probe", "doctor", "demo"),
)


class _Commands(click.Group):
    """Commands are imported when they are used, so that `doctor` works where a package is missing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"quantmcu.cli.commands.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.command(
    cls=_Commands,
    epilog="Exit status: 0 done, 1 the model does not fit or cannot be compiled, 2 wrong usage, 3 toolchain, emulator "
    "or device trouble. Every command takes --json.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(quantmcu.__version__, prog_name="quantmcu")
def group() -> None:
    """Compiles trained networks (ONNX) to microcontroller firmware, and measures that very firmware.

    Begin with `quantmcu demo`, or with `quantmcu compile model.onnx --board nucleo-f767 --calib photos/`.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process with its exit status."""
    _end_cleanly_on_sigterm()
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit status. Every error becomes a message."""
    output = Output("--json" in arguments, bool({"-v", "--verbose"} & set(arguments)))
    try:
        status = group.main(list(arguments), prog_name="quantmcu", standalone_mode=False)
        return status if isinstance(status, int) else ExitStatus.DONE
    except click.Abort:
        output.say("\ninterrupted; nothing half-written is left")
        return INTERRUPTED
    except click.ClickException as error:
        return _usage(error, output)
    except BrokenPipeError:
        _forget_standard_output()
        return ExitStatus.DONE
    except QuantMCUError as error:
        return _report(error, error, output)
    except OSError as error:
        what = error.strerror or str(error)
        return _report(ToolError(f"the system refused: {what}", str(error.filename or "")), error, output)
    except Exception as error:  # the last resort: whatever is left is a mistake of ours
        why = f"{type(error).__name__}: {error}"
        return _report(QuantMCUError("QuantMCU itself failed", why=why, hint=REPORT), error, output)


def _report(error: QuantMCUError, cause: BaseException, output: Output) -> int:
    if output.verbose:
        output.say("".join(traceback.format_exception(cause)))
    output.error(error)
    return error.status


def _usage(error: click.ClickException, output: Output) -> int:
    """A mistake on the command line, in the form of all other errors."""
    if isinstance(error, NoArgsIsHelpError):
        output.say(error.format_message())
        return ExitStatus.USAGE
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"`{context.command_path} --help` shows what it takes" if context else ""
    if isinstance(error, click.MissingParameter) and error.param is not None and error.param.name == "board":
        hint = f"`quantmcu boards` lists the boards; {hint}"
    return _report(UsageError(error.format_message(), hint=hint), error, output)


def _end_cleanly_on_sigterm() -> None:
    """SIGTERM raises, so that temporary folders go away."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def _forget_standard_output() -> None:
    """The reader has gone (`| head`): Python must not complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
