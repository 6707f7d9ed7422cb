"""Boards: what is known of them, and their manifests."""

from quantmcu.targets.board import Board, Caches, Console, MemoryRegion, UsbId
from quantmcu.targets.manifest import list_boards, load_board, load_board_file

__all__ = ["Board", "Caches", "Console", "MemoryRegion", "UsbId", "list_boards", "load_board", "load_board_file"]
