"""Detection models by name: that of a folder beside this module, or ``package.module:object`` of one kept elsewhere."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from harness.errors import UsageError
from harness.model.protocol import DetectionModel
from harness.suggestions import did_you_mean


def model_names() -> list[str]:
    """The models that come with the package: every folder here with a ``model.py``."""
    return sorted(file.parent.name for file in Path(__file__).parent.glob("*/model.py"))


def load_model(name: str, file: Path | None = None) -> DetectionModel:
    """The model of that name.

    Args:
        file: the model file in use, which may decide some of what the object says; None: none is, yet.

    Raises:
        UsageError: there is no such model.
        ModelError: the file cannot be read, or is no such model.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        names = model_names()
        if name not in names:
            raise UsageError(f"no such model: {name}", where="model.name", hint=did_you_mean(name, names))
        module, attribute = f"harness.model.{name}.model", "MODEL"
    try:
        model = cast(DetectionModel, getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        not_found = isinstance(error, ModuleNotFoundError)
        hint = "install its package, or put its folder into PYTHONPATH" if not_found else None
        raise UsageError(f"cannot be imported: {error}", where=f"model.name {name}", hint=hint) from error
    return model if file is None else model.for_file(file)
