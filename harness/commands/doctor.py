"""`ssd-harness doctor SUBJECT`: what this machine or a model says of itself. Each subject is a module of its own."""

from __future__ import annotations

from harness.command_line.subcommands import Subcommands
from harness.commands import doctor_model, doctor_system

SUMMARY = "look at a model or at this machine, and say what is there and what is wrong"
EXAMPLES = doctor_model.EXAMPLES + doctor_system.EXAMPLES

_SUBCOMMANDS = Subcommands("subject", {"model": doctor_model, "system": doctor_system})
add_arguments, run = _SUBCOMMANDS.add_arguments, _SUBCOMMANDS.run
