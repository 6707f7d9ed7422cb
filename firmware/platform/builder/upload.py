"""The `upload` target: flashing by the board's probe, boot loader or disk."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import uf2

VARIABLE = "QUANTMCU_UPLOAD_PROTOCOL"  # overrides platformio.ini


def add_target(env, board, program, firmware):
    """Defines `pio run -t upload`; PlatformIO takes the protocol from platformio.ini, else from the manifest."""
    protocol = os.environ.get(VARIABLE) or env.subst("$UPLOAD_PROTOCOL")
    env.Replace(UPLOAD_PROTOCOL=protocol)
    if protocol in ("stlink", "cmsis-dap", "pyocd"):
        env.Replace(UPLOADCMD=_probe_command(env, board, protocol))
        source, actions = program, [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]
    elif protocol == "uf2":
        source = firmware
        actions = [env.VerboseAction(_copy_uf2, "Copying $SOURCE as UF2 to the boot loader's disk")]
    elif protocol == "dfu":
        env.Replace(UPLOADCMD=f'dfu-util --device {board.get("upload.dfu_id")} -a 0 {_dfu_address(board)} -D "$SOURCE"')
        source, actions = firmware, [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]
    elif protocol == "mbed":
        source = firmware
        actions = [env.VerboseAction(_copy_to_disk, "Copying $SOURCE to the board's disk")]
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
    """OpenOCD where there is one (PATH, the Python package openocd-esp32, PlatformIO's), else pyOCD of this Python."""
    platform = env.PioPlatform()
    package = platform.get_package_dir("tool-openocd")
    if protocol == "pyocd":
        openocd = None
    elif shutil.which("openocd"):
        openocd = ["openocd"]
    elif importlib.util.find_spec("openocd_esp32"):
        openocd = [sys.executable, "-m", "openocd_esp32"]
    elif package:
        openocd = [str(Path(package) / "bin" / "openocd"), "-s", str(Path(package) / "openocd" / "scripts")]
    else:
        openocd = None
    if openocd:
        command = [*openocd, *platform.openocd_arguments(board, protocol), "-c", "program {$SOURCE} verify reset exit"]
    else:
        command = [sys.executable, "-m", "pyocd", "load", "--no-wait", "-t", board.get("debug.pyocd_target"), "$SOURCE"]
    return " ".join(f'"{word}"' for word in command)


def _copy_to_disk(env, target, source):
    """The probe programs what is copied to its disk, and takes the disk away for a moment."""
    from platformio.device.finder import find_mbed_disk

    disk = env.subst("$UPLOAD_PORT") or find_mbed_disk("")
    if not disk or not Path(disk).is_dir():
        sys.stderr.write(f"Error: no board's disk found{f' at {disk}' if disk else ''}\n")
        env.Exit(1)
    shutil.copyfile(str(source[0]), Path(disk) / "firmware.bin")


def _flash_origin(board):
    """Where the image begins."""
    return next(int(region["origin"], 16) for region in board.get("quantmcu.memory") if region["kind"] == "flash")


def _dfu_address(board):
    """Where dfu-util writes (ST's DfuSe), and that the program starts afterwards."""
    return f"--dfuse-address {_flash_origin(board):#010x}:leave"


def _copy_uf2(env, target, source):
    """The boot loader programs the file as it comes, and restarts before the copy is closed."""
    board = env.BoardConfig()
    name = board.get("upload.uf2_disk")
    disk = Path(env.subst("$UPLOAD_PORT") or _mounted_disk(name) or "")
    if not (disk / "INFO_UF2.TXT").is_file():
        sys.stderr.write(f"Error: no board's disk found: looked for {name} with INFO_UF2.TXT\n")
        env.Exit(1)
    image = Path(str(source[0])).read_bytes()
    family = int(board.get("upload.uf2_family"), 16)
    (disk / "firmware.uf2").write_bytes(uf2.uf2(image, _flash_origin(board), family))


def _mounted_disk(name):
    """Mount point of the disk `name`."""
    from platformio.device.list.util import list_logical_devices

    disks = (disk["path"] for disk in list_logical_devices() if name in (disk["name"], Path(disk["path"]).name))
    return next(disks, None)


def _enter_boot_loader(env, target=None, source=None):
    """Opening the port at 1200 baud makes Arduino's boot loader appear, as another port."""
    from platformio.device.list.util import list_serial_ports

    env.AutodetectUploadPort()
    before = list_serial_ports()
    env.TouchSerialPort("$UPLOAD_PORT", 1200)
    env.Replace(UPLOAD_PORT=env.WaitForNewSerialPort(before))
