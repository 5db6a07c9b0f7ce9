"""The commands of `ssd-harness`, one module each."""
