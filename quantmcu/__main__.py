"""`python -m quantmcu`: the command line."""

from quantmcu.cli import main

main()
