"""Configuration as data; installed as the package ``harness.configs``."""
