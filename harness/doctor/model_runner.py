"""Images through a model file in any way to feed it, with its outputs put into the expected order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from harness.doctor.cause import Cause
from harness.errors import ModelError
from harness.model.io_check import EXTRACT_HINT
from harness.model.probing import Floats, InputReading
from harness.model.protocol import DetectionModel
from harness.records import QuantizedTensor, RawOutput, TensorSpec
from harness.sessions.protocol import Session

Say: TypeAlias = Callable[[str], None]
OutputMaps: TypeAlias = list[Floats]


def output_order(session: Session, model: DetectionModel, where: str) -> tuple[list[int], Cause | None]:
    """Which output of the session is each expected one: by shape, and among equal shapes by name, else in order."""
    if session.input.shape != model.input.shape:
        raise ModelError(f"its input {session.input.shape} is not {model.input.shape}", where=where)
    given = list(session.outputs)
    names = [spec.name for spec in given]
    order = []
    for spec in model.outputs:
        fitting = [k for k, found in enumerate(given) if found.shape == spec.shape and k not in order]
        if not fitting:
            shapes = ", ".join(str(found.shape) for found in given)
            raise ModelError(
                f"no raw output of shape {spec.shape} for {spec.name}; it has {shapes}",
                where=where,
                hint=EXTRACT_HINT,
            )
        named = [k for k in fitting if names[k] == spec.name]
        order.append((named or fitting)[0])
    if order == list(range(len(order))):
        return order, None
    wanted = ", ".join(spec.name for spec in model.outputs)
    finding = Cause(
        "outputs-in-another-order",
        "the outputs are in another order",
        f"by shape and name, the expected ones are its outputs {order}",
        f"give them in this order: {wanted}",
    )
    return order, finding


class Runner:
    """Runs images; inference is what takes long, so that nothing is run twice."""

    def __init__(
        self, session: Session, model: DetectionModel, order: list[int], images: list[bytes], say: Say
    ) -> None:
        self.session = session
        self.model = model
        self.order = order
        self.images = images
        self.say = say

    @property
    def dtype(self) -> str:
        """The data type of the model's input."""
        return self.session.input.dtype

    @property
    def named(self) -> bool:
        """Whether the outputs have the names that the model object gives them."""
        return [self.session.outputs[at].name for at in self.order] == [spec.name for spec in self.model.outputs]

    def run(self, reading: InputReading, number: int, total: int) -> list[OutputMaps]:
        """The raw outputs of every image, float32, in the expected order."""
        outputs = []
        for k, encoded in enumerate(self.images):
            self.say(f"way {number} of {total} to feed it: image {k + 1} of {len(self.images)}")
            raw = self.session.run(reading.tensor(encoded)[np.newaxis])
            kept = [raw[at] for at in self.order]
            outputs.append([_as_float32(each, spec) for each, spec in zip(kept, self.model.outputs, strict=True)])
        return outputs


def _as_float32(output: RawOutput, spec: TensorSpec) -> Floats:
    if isinstance(output, QuantizedTensor):
        if output.layout is not None:
            raise ModelError("outputs in a device's own layout cannot be examined; use --backend onnxruntime")
        values = output.scale * (output.data.astype(np.float32) - np.float32(output.zero_point))
        return np.ascontiguousarray(values, np.float32).reshape(spec.shape)
    return np.array(output, np.float32).reshape(spec.shape)
