"""`python -m quorate` is the `quorate` command."""

from quorate.app.cli import main

main()
