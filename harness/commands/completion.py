"""Prints a script that completes commands and options in a shell.

bash: put ``eval "$(ssd-harness completion bash)"`` into ~/.bashrc. zsh: write it to a file ``_ssd-harness`` in a folder
of ``$fpath``. It is made by shtab, which the extra ``completion`` brings.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from harness.errors import DataError
from harness.terminal import Terminal

SUMMARY = "print a script for tab completion in a shell"
EXAMPLES = """\
  eval "$(ssd-harness completion bash)"
  ssd-harness completion zsh > ~/.zfunc/_ssd-harness
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the one argument."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell that it is for")


def run(args: argparse.Namespace) -> int:
    """Prints the script.

    Raises:
        DataError: shtab is not installed.
    """
    try:
        shtab = import_module("shtab")
    except ImportError as error:
        raise DataError(
            "tab completion is made by shtab", hint="pip install 'ssd-harness[completion]', or shtab alone"
        ) from error
    Terminal().result(shtab.complete(args.whole_parser(), args.shell))
    return 0
