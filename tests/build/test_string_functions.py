"""The firmware's own memcpy and memmove, against Python, at every alignment."""

import ctypes
import random

import pytest

from quantmcu.build.host_compiler import find_host_compiler
from quantmcu.resources import data_folder

NAMES = ("memcpy", "memmove", "memset", "memcmp", "strlen")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    source = data_folder("firmware") / "ports" / "libc" / "string.c"
    out = tmp_path_factory.mktemp("string") / "string.so"
    renamed = [f"-D{name}=own_{name}" for name in NAMES]
    find_host_compiler().compile([source], [source.parent], out, ["-O1", "-shared", "-fPIC", "-fno-builtin", *renamed])
    return ctypes.CDLL(str(out))


@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 64, 65])
def test_copies_at_every_alignment(library, length):
    generator = random.Random(length)
    for start in range(9):
        for end in range(9):
            content = bytes(generator.randrange(256) for _ in range(128))
            memory = ctypes.create_string_buffer(content, 128)
            base = ctypes.addressof(memory)
            library.own_memmove(ctypes.c_void_p(base + end), ctypes.c_void_p(base + start), ctypes.c_size_t(length))
            expected = bytearray(content)
            expected[end : end + length] = content[start : start + length]
            assert memory.raw == bytes(expected)
            other = ctypes.create_string_buffer(128)
            target = ctypes.addressof(other) + end
            library.own_memcpy(ctypes.c_void_p(target), ctypes.c_void_p(base + start), ctypes.c_size_t(length))
            assert other.raw[end : end + length] == memory.raw[start : start + length]
            outside = other.raw[:end] + other.raw[end + length :]
            assert not any(outside)
