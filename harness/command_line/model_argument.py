"""``--model-name``: which model a command is about."""

from __future__ import annotations

import argparse

from harness.model.registry import model_names
from harness.settings import default_model_name


def add_model_name(parser: argparse.ArgumentParser) -> None:
    """Adds the option; its value is a name for `harness.model.registry.load_model`."""
    default = default_model_name()
    parser.add_argument(
        "--model-name",
        default=default,
        metavar="NAME",
        help=f"which model: {', '.join(model_names())}, or package.module:object of one kept elsewhere ({default})",
    )
