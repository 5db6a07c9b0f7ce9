"""`ssd-harness doctor SUBJECT`: what this machine or a model says of itself. Each subject is a module of its own."""

from __future__ import annotations

from harness.commands import doctor_model, doctor_system
from harness.commands.group import Group

SUMMARY = "look at a model or at this machine, and say what is there and what is wrong"
EXAMPLES = doctor_model.EXAMPLES + doctor_system.EXAMPLES

_GROUP = Group("subject", {"model": doctor_model, "system": doctor_system})
add_arguments, run = _GROUP.add_arguments, _GROUP.run
