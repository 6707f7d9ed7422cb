"""Flash image to UF2, the format that boot loaders take as a file on their disk. Standalone: travels with each project.

Source: the UF2 specification, https://github.com/microsoft/uf2.
"""

import struct

_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_FAMILY_PRESENT = 0x2000
_PAYLOAD_BYTES = 256
_DATA_BYTES = 476


def uf2(image: bytes, address: int, family: int) -> bytes:
    """Blocks of 512 bytes that carry `image` to `address` on, for chips of `family`."""
    parts = [image[start : start + _PAYLOAD_BYTES] for start in range(0, len(image), _PAYLOAD_BYTES)]
    blocks = []
    for number, part in enumerate(parts):
        where = address + number * _PAYLOAD_BYTES
        header = struct.pack("<8I", *_MAGIC, _FAMILY_PRESENT, where, _PAYLOAD_BYTES, number, len(parts), family)
        data = part.ljust(_PAYLOAD_BYTES, b"\xff").ljust(_DATA_BYTES, b"\0")
        blocks.append(header + data + struct.pack("<I", _MAGIC_END))
    return b"".join(blocks)
