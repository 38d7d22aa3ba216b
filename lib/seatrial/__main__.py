"""``python -m seatrial`` is the same as ``seatrial``."""

import sys

from seatrial.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
