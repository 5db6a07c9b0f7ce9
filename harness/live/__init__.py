"""A running test, shown: from its counters in shared memory to a terminal, plain lines or JSON lines."""
