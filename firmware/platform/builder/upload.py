"""The `upload` target: flashing by the board's probe, boot loader or disk."""

import os
import shutil
import sys
from pathlib import Path

VARIABLE = "QUANTMCU_UPLOAD_PROTOCOL"  # overrides platformio.ini


def add_target(env, board, program, firmware):
    """Defines `pio run -t upload`; PlatformIO takes the protocol from platformio.ini, else from the manifest."""
    protocol = os.environ.get(VARIABLE) or env.subst("$UPLOAD_PROTOCOL")
    if protocol in ("stlink", "cmsis-dap", "pyocd"):
        env.Replace(UPLOADCMD=_probe_command(env, board, protocol))
        source, actions = program, [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]
    elif protocol == "mbed":
        source = firmware
        actions = [
            env.VerboseAction(env.AutodetectUploadPort, "Looking for the board's disk..."),
            env.VerboseAction(env.UploadToDisk, "Copying $SOURCE"),
        ]
    elif protocol == "sam-ba":
        env.Replace(UPLOADCMD='bossac --port "$UPLOAD_PORT" -U --info --erase --write "$SOURCE" --reset')
        source = firmware
        actions = [
            env.VerboseAction(_enter_boot_loader, "Looking for the boot loader's port..."),
            env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE"),
        ]
    else:  # custom: upload_command of platformio.ini
        source, actions = firmware, [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]
    env.AddPlatformTarget("upload", source, actions, "Upload")


def _probe_command(env, board, protocol):
    """OpenOCD where there is one (PATH, PlatformIO's package), else pyOCD of this Python."""
    platform = env.PioPlatform()
    package = platform.get_package_dir("tool-openocd")
    if protocol != "pyocd" and (package or shutil.which("openocd")):
        scripts = ["-s", str(Path(package) / "openocd" / "scripts")] if package else []
        program = ["-c", "program {$SOURCE} verify reset exit"]
        command = ["openocd", *scripts, *platform.openocd_arguments(board, protocol), *program]
    else:
        command = [sys.executable, "-m", "pyocd", "load", "--target", board.get("debug.pyocd_target"), "$SOURCE"]
    return " ".join(f'"{word}"' for word in command)


def _enter_boot_loader(env, target=None, source=None):
    """Opening the port at 1200 baud makes Arduino's boot loader appear, as another port."""
    from platformio.device.list.util import list_serial_ports

    env.AutodetectUploadPort()
    before = list_serial_ports()
    env.TouchSerialPort("$UPLOAD_PORT", 1200)
    env.Replace(UPLOAD_PORT=env.WaitForNewSerialPort(before))
