"""Signatures of functions, and of the pointers to functions that a source file knows, from debug information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Signature = tuple[str, ...]
"""Of a function: the type of its result, then those of its parameters."""


@dataclass(frozen=True)
class Signatures:
    """What the debug information of an ELF file says about functions.

    Attributes:
        of_function: signature by address.
        callable_from: by address of a function, the signatures of all pointers to functions in its source file.
    """

    of_function: Mapping[int, Signature]
    callable_from: Mapping[int, frozenset[Signature]]


def read_signatures(file: Any) -> Signatures:
    """Reads an `elftools.elf.elffile.ELFFile`; without debug information nothing is known."""
    of_function: dict[int, Signature] = {}
    callable_from: dict[int, frozenset[Signature]] = {}
    for unit in file.get_dwarf_info().iter_CUs() if file.has_dwarf_info() else ():
        entries = list(unit.iter_DIEs())
        pointers = frozenset(_signature(e) for e in entries if e.tag == "DW_TAG_subroutine_type")
        for entry in entries:
            if entry.tag == "DW_TAG_subprogram" and "DW_AT_low_pc" in entry.attributes:
                address = entry.attributes["DW_AT_low_pc"].value & ~1
                of_function[address], callable_from[address] = _signature(_origin(entry)), pointers
    return Signatures(of_function, callable_from)


def _origin(entry: Any) -> Any:
    """The declaration that a clone of a function was made from."""
    while "DW_AT_abstract_origin" in entry.attributes:
        entry = entry.get_DIE_from_attribute("DW_AT_abstract_origin")
    return entry


def _signature(entry: Any) -> Signature:
    parameters = (child for child in entry.iter_children() if child.tag == "DW_TAG_formal_parameter")
    return (_type(entry), *(_type(_origin(parameter)) for parameter in parameters))


def _type(entry: Any) -> str:
    """Name of the type of an entry: qualifiers dropped, typedefs followed as far as something has a name."""
    if "DW_AT_type" not in entry.attributes:
        return "void"
    target = entry.get_DIE_from_attribute("DW_AT_type")
    if target.tag in ("DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_restrict_type"):
        return _type(target)
    if target.tag == "DW_TAG_pointer_type":
        return f"{_type(target)} *"
    if target.tag == "DW_TAG_subroutine_type":
        return f"({', '.join(_signature(target))})"
    if target.tag == "DW_TAG_typedef":
        under = _type(target)
        return under if under else _name(target)
    return _name(target)


def _name(entry: Any) -> str:
    name = entry.attributes.get("DW_AT_name")
    return "" if name is None else name.value.decode("utf-8", "replace")
