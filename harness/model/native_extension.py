"""The C++ extension with the native decoders, and the instruction set of its hot loops."""

from __future__ import annotations

import os
from types import ModuleType

from harness.errors import BackendError, UsageError

SIMD_VARIABLE = "SSD_HARNESS_SIMD"


def decode_extension() -> ModuleType:
    """The extension.

    Raises:
        BackendError: it was not built here.
    """
    try:
        from harness.native import _decode
    except ImportError as error:
        raise BackendError(
            f"the C++ extension is not available ({error})",
            where="the native postprocessor",
            hint="install again with g++ 9 or clang 10 or newer on the PATH, or choose the NumPy postprocessor",
        ) from error
    extension: ModuleType = _decode
    return extension


def available_simd() -> list[str]:
    """The instruction sets this machine can run, the fastest first; the last is "baseline".

    Raises:
        BackendError: the extension was not built here.
    """
    return list(decode_extension().available_simd())


def chosen_simd(simd: str | None) -> str:
    """The instruction set to use; empty: the fastest.

    Args:
        simd: one of `available_simd`; None: what the environment's ``SSD_HARNESS_SIMD`` says.

    Raises:
        BackendError: the extension was not built here.
        UsageError: this machine cannot run it.
    """
    chosen = simd if simd is not None else os.environ.get(SIMD_VARIABLE, "")
    if chosen and chosen not in available_simd():
        raise UsageError(
            f"this machine cannot run {chosen!r}; it can run {', '.join(available_simd())}",
            where="the native postprocessor's instruction set",
            hint=f"unset {SIMD_VARIABLE} to have the fastest chosen" if simd is None else None,
        )
    return chosen
