"""quantmcu doctor"""

from __future__ import annotations

from dataclasses import asdict

from quantmcu.build.doctor import diagnose
from quantmcu.cli.command import command
from quantmcu.cli.output import Output
from quantmcu.errors import ToolError
from quantmcu.report.listings import checks_table


@command
def doctor_command(output: Output) -> None:
    """Look for what is missing on this machine."""
    checks = diagnose()
    output.show([asdict(check) for check in checks], checks_table(checks))
    missing = [check.name for check in checks if check.required and not check.ok]
    if missing:
        what = f"this machine cannot compile firmware yet: {', '.join(missing)}"
        raise ToolError(what, hint="the table above says what to do")
