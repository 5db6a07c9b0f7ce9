"""The YOLO family as one object of `harness.model.protocol.DetectionModel`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import UsageError
from harness.model.coco_labels import CLASSES
from harness.model.decoder_timing import DecoderBench
from harness.model.protocol import Decoder, DecoderKind, DetectionModel
from harness.model.yolo import decoder_bench, example_outputs, extract, letterbox
from harness.model.yolo.head import DECODINGS, TITLES, Head, head_of
from harness.model.yolo.native_decoder import NativeDecoder
from harness.model.yolo.numpy_decoder import NumpyDecoder
from harness.model.yolo.probing import YoloProbe
from harness.records import Decoding, Detections, Normalisation, RawOutput, TensorSpec

_BENCHMARK_MODEL = "YOLO11l"
"""The model of MLPerf's benchmarks; its weights are under the AGPL, and not in this package."""


class Yolo:
    """One model of the family; picklable, and without weights.

    Args:
        head: what its file gives and takes.
    """

    name: str = "yolo"
    benchmarks: tuple[str, ...] = ("yolo-99", "yolo-95")
    round: str = "v6.1"
    labels: tuple[str, ...] = CLASSES
    needs_image_size: bool = True

    def __init__(self, head: Head) -> None:
        self.head = head
        self.title: str = f"{TITLES[head.family]} at {head.side} px"
        self.closed_division: str | None = None
        if (head.family, head.side) != ("yolo11", 640):
            self.closed_division = f"it is {self.title}; the closed division asks for {_BENCHMARK_MODEL} at 640 px"
        self.input: TensorSpec = head.input
        self.outputs: tuple[TensorSpec, ...] = head.outputs
        self.normalisation: Normalisation = letterbox.normalisation(head.family)
        self.decoding: Decoding = DECODINGS[head.family]

    def for_file(self, file: Path) -> DetectionModel:
        """See `DetectionModel.for_file`: an ONNX file decides the family, the input's size and the outputs."""
        return Yolo(head_of(file)) if file.suffix == ".onnx" else self

    def tensor(self, encoded: bytes, dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
        """See `DetectionModel.tensor`."""
        return letterbox.preprocess(encoded, self.head, dtype)

    @property
    def preprocess_key(self) -> str:
        """See `DetectionModel.preprocess_key`."""
        return letterbox.preprocess_key(self.head)

    def decoder(self, kind: DecoderKind) -> Decoder:
        """See `DetectionModel.decoder`."""
        return _decoder(kind, self.head)

    def example_outputs(
        self, seed: int, *, quantized: bool, tiled: bool = False, objects: Detections | None = None
    ) -> list[RawOutput]:
        """See `DetectionModel.example_outputs`."""
        if tiled:
            raise UsageError("a YOLO model has no outputs in an NPU's own layout", where="backend.options.layout")
        if objects is not None:
            raise UsageError(
                "objects cannot be planted: where they lie in the input depends on the image's size",
                where="backend.options.objects",
                hint="record a real model's outputs instead: ssd-harness prepare outputs",
            )
        return example_outputs.example_outputs(self.head, seed, quantized=quantized)

    def default_file(self, precision: Literal["int8", "float32"], report: Callable[[str], None]) -> Path:
        """See `DetectionModel.default_file`.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "a YOLO model has no default file: its weights are the user's own", where="model", hint="give --model ONNX"
        )

    @property
    def probe(self) -> YoloProbe:
        """See `DetectionModel.probe`."""
        return YoloProbe(self.head)

    def extract(self, published: Path, output: Path) -> list[str]:
        """See `DetectionModel.extract`."""
        return extract.extract(published, output)

    def bench_decoders(
        self, *, rounds: int, threads: int | None, progress: Callable[[int, int], None] | None = None
    ) -> DecoderBench:
        """See `DetectionModel.bench_decoders`."""
        return decoder_bench.bench_decoders(self.head, rounds=rounds, threads=threads, progress=progress)


MODEL: DetectionModel = Yolo(Head(split=True))
"""Without a file: outputs as a quantized model gives them, for simulated devices."""


@functools.cache
def _decoder(kind: DecoderKind, head: Head) -> Decoder:
    return NativeDecoder(head) if kind == "native" else NumpyDecoder(head)
