"""``python -m harness`` is ``ssd-harness``."""

import sys

from harness.cli import main
from harness.signals import end_with


def command() -> int:
    """Runs the command line of this process and gives its exit status, which no signal changes any more."""
    status = main()
    end_with(status)
    return status


if __name__ == "__main__":
    sys.exit(command())
