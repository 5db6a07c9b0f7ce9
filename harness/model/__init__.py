"""Models: what goes in, what comes out, and how the one becomes the other. Each has a folder of its own.

The decoders of SSD-ResNet34 have their public names here; nothing of them is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.model.ssd_resnet34.native_decoder import NativeDecoder
    from harness.model.ssd_resnet34.numpy_decoder import NumpyDecoder

__all__ = ["NativeDecoder", "NumpyDecoder"]

_HOMES = {
    "NativeDecoder": "harness.model.ssd_resnet34.native_decoder",
    "NumpyDecoder": "harness.model.ssd_resnet34.numpy_decoder",
}


def __getattr__(name: str) -> Any:
    """Imports a decoder when it is asked for.

    Raises:
        AttributeError: there is no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'harness.model' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
