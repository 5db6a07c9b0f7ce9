"""`ssd-harness prepare NOUN`: what a run needs, made beforehand. Each noun is a module of its own."""

from __future__ import annotations

from harness.commands import prepare_dataset, prepare_model, prepare_outputs
from harness.commands.group import Group

SUMMARY = "make a model, a dataset or recorded outputs ready beforehand"
EXAMPLES = f"{prepare_model.EXAMPLES}\n{prepare_dataset.EXAMPLES}\n{prepare_outputs.EXAMPLES}"

_GROUP = Group("noun", {"model": prepare_model, "dataset": prepare_dataset, "outputs": prepare_outputs})
add_arguments, run = _GROUP.add_arguments, _GROUP.run
