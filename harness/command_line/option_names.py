"""Which option of the command line a setting comes from: messages name what was given, not what it became."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import HarnessError

OPTIONS = {
    "scenarios": "--scenario",
    "mode": "--mode",
    "repeat": "--repeat",
    "round": "--round",
    "submission.division": "--division",
    "submission.submitter": "--submitter",
    "submission.system": "--system",
    "backend.name": "--backend",
    "backend.devices": "--devices",
    "cluster.address": "--cluster",
    "model.name": "--model-name",
    "model.path": "--model",
    "dataset.images": "--images",
    "dataset.annotations": "--annotations",
    "dataset.count": "--count",
}
"""Configuration key → the option of `run` that sets it."""
SUBJECTS = {**OPTIONS, "backend": "--backend", "devices": "--devices"}
"""What an error may say that it is about → the option that may have said so."""


def name_option(error: HarnessError, argv: Sequence[str]) -> None:
    """Has an error about a setting name the option that it was given by; others stay as they are.

    Args:
        error: that is going to be shown.
        argv: the words of the command line.
    """
    option = SUBJECTS.get(error.where or "")
    if option is not None and any(word == option or word.startswith(f"{option}=") for word in argv):
        error.where = option
