"""A whole run: what it needs, the tests one after the other, and what they leave in the run directory."""
