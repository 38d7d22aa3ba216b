"""Runs ``seatrial`` as ``python -m seatrial``."""

import sys

from seatrial.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
