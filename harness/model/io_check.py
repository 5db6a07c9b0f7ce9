"""Does a loaded model take and give what the model object says?"""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import ModelError
from harness.records import TensorSpec

_IMAGE_DTYPES = ("uint8", "float32")
_RAW_DTYPES = ("float32", "int8", "uint8")
EXTRACT_HINT = "cut it there: ssd-harness prepare model --extract ONNX --output FILE, with the same --model-name"


def check_model(
    found_input: TensorSpec,
    found_outputs: Sequence[TensorSpec],
    expected_input: TensorSpec,
    expected_outputs: Sequence[TensorSpec],
    *,
    where: str | None = None,
) -> None:
    """Compares shapes, order and types. Names are the file's own affair.

    Args:
        where: the model file, for the message.

    Raises:
        ModelError: says which inputs or outputs differ, or that only their order does.
    """
    if found_input.shape != expected_input.shape or found_input.dtype not in _IMAGE_DTYPES:
        raise ModelError(
            f"its input {_show(found_input)} is not {expected_input.shape} as {' or '.join(_IMAGE_DTYPES)}",
            where=where,
            hint="export the model with that fixed input shape, batch 1",
        )
    if len(found_outputs) != len(expected_outputs):
        raise ModelError(
            f"it has {len(found_outputs)} outputs, not the {len(expected_outputs)} raw ones: {_list(found_outputs)}",
            where=where,
            hint=EXTRACT_HINT,
        )
    wrong_dtype = [spec for spec in found_outputs if spec.dtype not in _RAW_DTYPES]
    if wrong_dtype:
        raise ModelError(
            f"outputs of a type other than {', '.join(_RAW_DTYPES)}: {_list(wrong_dtype)}",
            where=where,
            hint=EXTRACT_HINT,
        )
    differing = [
        (k, found, expected)
        for k, (found, expected) in enumerate(zip(found_outputs, expected_outputs, strict=True))
        if found.shape != expected.shape
    ]
    if not differing:
        return
    table = ", ".join(f"output {k} {_show(found)} should be {expected.shape}" for k, found, expected in differing)
    if sorted(f.shape for _, f, _ in differing) == sorted(e.shape for _, _, e in differing):
        raise ModelError(
            f"its outputs are the right ones in another order: {table}",
            where=where,
            hint=f"the order is {', '.join(spec.name for spec in expected_outputs)}",
        )
    raise ModelError(f"{len(differing)} of its outputs have another shape: {table}", where=where, hint=EXTRACT_HINT)


def _show(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} {spec.shape}"


def _list(specs: Sequence[TensorSpec]) -> str:
    shown = ", ".join(_show(spec) for spec in specs[:4])
    return shown if len(specs) <= 4 else f"{shown} and {len(specs) - 4} more"
