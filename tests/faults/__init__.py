"""What goes wrong on real machines, done on purpose to whole commands; see docs/explanation/reliability.md."""
