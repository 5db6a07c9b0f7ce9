"""Detection models by name. A name is one of `MODELS`, or ``package.module:object`` of a model kept elsewhere."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from harness.errors import UsageError
from harness.model.protocol import DetectionModel

MODELS = {"ssd_resnet34": "harness.model.ssd_resnet34.model:MODEL"}


def load_model(name: str) -> DetectionModel:
    """The model of that name.

    Raises:
        UsageError: there is no such model.
    """
    module, colon, attribute = MODELS.get(name, name).partition(":")
    if not colon:
        raise UsageError(f"no such model: {name}", where="model.name", hint=f"there are: {', '.join(MODELS)}")
    try:
        return cast(DetectionModel, getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise UsageError(f"cannot be imported: {error}", where=f"model.name {name}") from error
