"""``python -m harness`` is ``ssd-harness``."""

import sys

from harness.cli import main

sys.exit(main())
