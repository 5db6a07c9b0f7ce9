"""What every command of ``ssd-harness`` shares: its parser, types of arguments, and JSON output."""
