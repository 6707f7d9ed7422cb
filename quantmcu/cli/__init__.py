"""The command line: parses, calls the API, prints."""

from quantmcu.cli.main import main

__all__ = ["main"]
