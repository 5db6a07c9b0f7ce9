"""`ssd-harness prepare NOUN`: what a run needs, made beforehand. Each noun is a module of its own."""

from __future__ import annotations

from harness.command_line.subcommands import Subcommands
from harness.commands import prepare_dataset, prepare_model, prepare_outputs

SUMMARY = "make a model, a dataset or recorded outputs ready beforehand"
EXAMPLES = f"{prepare_model.EXAMPLES}\n{prepare_dataset.EXAMPLES}\n{prepare_outputs.EXAMPLES}"

_SUBCOMMANDS = Subcommands("noun", {"model": prepare_model, "dataset": prepare_dataset, "outputs": prepare_outputs})
add_arguments, run = _SUBCOMMANDS.add_arguments, _SUBCOMMANDS.run
