"""SSD-ResNet34 as one object: for the harness (`DetectionModel`) and for people (the methods of furiosa-models).

``from harness import SSDResNet34`` gives this class with `session` added (`harness.ssd_resnet34`): sessions are no
affair of a model.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import DatasetError
from harness.model.coco_labels import CLASSES
from harness.model.decoder_timing import DecoderBench
from harness.model.image_file import decode_image
from harness.model.protocol import Decoder, DecoderKind, DetectionModel
from harness.model.ssd_resnet34 import decoder_bench, default_model, example_outputs, extract, preprocess
from harness.model.ssd_resnet34.decoding import DECODING
from harness.model.ssd_resnet34.description import Format, ModelTaskType, Platform
from harness.model.ssd_resnet34.heads import INPUT, OUTPUTS
from harness.model.ssd_resnet34.native_decoder import NativeDecoder
from harness.model.ssd_resnet34.numpy_decoder import NumpyDecoder
from harness.model.ssd_resnet34.planted_outputs import planted_outputs
from harness.model.ssd_resnet34.probing import SSDResNet34Probe
from harness.model.ssd_resnet34.results import ObjectDetectionResult, as_results
from harness.model.ssd_resnet34.weights import trained_ranges
from harness.records import (
    Decoding,
    Detections,
    Nms,
    Normalisation,
    QuantizedTensor,
    RawOutput,
    RawOutputs,
    TensorSpec,
)
from harness.settings import cache_dir

if TYPE_CHECKING:
    from typing_extensions import Self

_LOGGER = logging.getLogger(__name__)

Image: TypeAlias = "str | PathLike[str] | npt.NDArray[np.uint8]"
"""A path, or pixels: (H, W, 3) BGR, (H, W) or (H, W, 1) grey."""
Context: TypeAlias = Mapping[str, int]
"""``{"width", "height"}`` of an original image, in pixels."""


class SSDResNet34Model:
    """The model object. It holds no weights and is picklable.

    Args:
        use_native: postprocess in C++, or with NumPy.
        postprocessor_type: the same choice in the words of furiosa-models 0.10, where it is given: `Platform.PYTHON` is
            NumPy, `Platform.RUST` and `Platform.CPP` are the native one, which here is C++.
        nms: which of the two published behaviours, see docs/explanation/postprocessor.md.

    Raises:
        ValueError: another platform.
    """

    CLASSES: ClassVar[tuple[str, ...]] = CLASSES

    name: str = "ssd_resnet34"
    title: str = "SSD-ResNet34"
    benchmarks: tuple[str, ...] = ("ssd-resnet34", "ssd-large")
    round: str = "v2.0"
    """The last round with SSD-ResNet34."""
    closed_division: str | None = None
    input: TensorSpec = INPUT
    outputs: tuple[TensorSpec, ...] = OUTPUTS
    labels: tuple[str, ...] = CLASSES
    decoding: Decoding = DECODING
    needs_image_size: bool = False
    task_type = ModelTaskType.OBJECT_DETECTION
    format = Format.ONNX
    framework = "PyTorch"
    """The framework that the published weights come from."""
    family = "ResNet"
    normalisation = Normalisation(tuple(preprocess.MEAN.tolist()), tuple(preprocess.STD.tolist()))

    def __init__(
        self, *, use_native: bool = True, postprocessor_type: str | Platform | None = None, nms: Nms = "corrected"
    ) -> None:
        if postprocessor_type is not None:
            platform = Platform(postprocessor_type)
            if platform is Platform.C:
                raise ValueError("there is no postprocessor in C: PYTHON, CPP or (for furiosa-models' sake) RUST")
            use_native = platform is not Platform.PYTHON
        self.use_native = use_native
        self.nms = nms

    @classmethod
    def load(cls, use_native: bool = True) -> Self:
        """The model, with the native postprocessor or the NumPy one."""
        return cls(use_native=use_native)

    @classmethod
    async def load_async(cls, use_native: bool = True) -> Self:
        """`load` for code that awaits it."""
        return cls.load(use_native=use_native)

    def preprocess(
        self, images: Image | Sequence[Image], with_scaling: bool = False
    ) -> tuple[npt.NDArray[np.uint8] | npt.NDArray[np.float32], list[dict[str, int]]]:
        """Images as input tensors, and what `postprocess` must know of each.

        Args:
            images: one or several, of any sizes: paths, arrays, or a stack (N, H, W, 3) or (N, H, W).
            with_scaling: float32 tensors as the float32 model takes them, else uint8 ones.

        Returns:
            (N, 3, 1200, 1200) uint8 0..255 or float32 normalised, and N contexts ``{"width", "height"}``.

        Raises:
            DatasetError: a file that is missing or not a whole image; names it.
            ValueError: no image at all, or an array that is not an 8-bit image.
        """
        pixels = [_pixels(image) for image in _as_list(images)]
        if not pixels:
            raise ValueError("no image was given")
        tensors = [preprocess.to_tensor(image, "float32" if with_scaling else "uint8") for image in pixels]
        contexts = [{"width": image.shape[1], "height": image.shape[0]} for image in pixels]
        batch: npt.NDArray[Any] = np.stack(tensors)
        return batch, contexts

    def postprocess(
        self, outputs: RawOutputs, contexts: Context | Sequence[Context], confidence_threshold: float = 0.05
    ) -> list[list[ObjectDetectionResult]]:
        """What was found in each image, best first.

        Args:
            outputs: the twelve of the table, as a session gives them, for N images: (N, C, H, W), float32 or quantized.
            contexts: N, from `preprocess`; a single one may stand for itself.
            confidence_threshold: scores above it only.

        Raises:
            ValueError: outputs that are not the twelve for N images; the message names the first that differs.
        """
        decoder = self.decoder("native" if self.use_native else "numpy")
        contexts = [contexts] if isinstance(contexts, Mapping) else contexts
        results = []
        for k, context in enumerate(contexts):
            one = [_of_image(output, k, len(contexts)) for output in outputs]
            detections = decoder.decode(one, score_threshold=confidence_threshold, nms=self.nms)
            results.append(as_results(detections, context["width"], context["height"], CLASSES))
        return results

    @property
    def preprocessor(self) -> Callable[..., tuple[npt.NDArray[Any], list[dict[str, int]]]]:
        """`preprocess`, under the name that furiosa-models has for it as an object."""
        return self.preprocess

    @property
    def postprocessor(self) -> Callable[..., list[list[ObjectDetectionResult]]]:
        """`postprocess`, likewise."""
        return self.postprocess

    @property
    def origin(self) -> bytes:
        """The default float32 ONNX model, built into the user's cache the first time."""
        return self.default_file("float32", _LOGGER.info).read_bytes()

    @property
    def tensor_name_to_range(self) -> dict[str, list[float]]:
        """The calibration ranges that the default INT8 model was made with: tensor of `origin` → smallest, largest."""
        return {name: [low, high] for name, (low, high) in trained_ranges().items()}

    def model_source(self, num_pe: Literal[1, 2] = 2) -> bytes:
        """The default INT8 ONNX model: uint8 in, int8 out.

        Args:
            num_pe: of furiosa-models, whose compiled binaries differ by it; the ONNX model does not.

        Raises:
            ValueError: neither 1 nor 2.
        """
        if num_pe not in (1, 2):
            raise ValueError(f"num_pe: expected 1 or 2; got {num_pe!r}")
        return self.default_file("int8", _LOGGER.info).read_bytes()

    def resolve_all(self) -> None:
        """Builds everything that is built at first use."""
        self.default_file("float32", _LOGGER.info)
        self.default_file("int8", _LOGGER.info)

    def tensor(self, encoded: bytes, dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
        """See `DetectionModel.tensor`."""
        return preprocess.preprocess(encoded, dtype)

    @property
    def preprocess_key(self) -> str:
        """See `DetectionModel.preprocess_key`."""
        return preprocess.PREPROCESS_KEY

    def for_file(self, file: Path) -> DetectionModel:
        """See `DetectionModel.for_file`: every file of it is alike."""
        return self

    def decoder(self, kind: DecoderKind) -> Decoder:
        """See `DetectionModel.decoder`."""
        return _decoder(kind)

    def example_outputs(
        self, seed: int, *, quantized: bool, tiled: bool = False, objects: Detections | None = None
    ) -> list[RawOutput]:
        """See `DetectionModel.example_outputs`."""
        if objects is not None:
            return planted_outputs(objects, quantized=quantized, tiled=tiled)
        return example_outputs.example_outputs(seed, quantized=quantized, tiled=tiled)

    def default_file(self, precision: default_model.Precision, report: Callable[[str], None]) -> Path:
        """See `DetectionModel.default_file`."""
        return default_model.default_file(precision, cache_dir() / "models", report)

    @property
    def probe(self) -> SSDResNet34Probe:
        """See `DetectionModel.probe`."""
        return SSDResNet34Probe()

    def extract(self, published: Path, output: Path) -> list[str]:
        """See `DetectionModel.extract`."""
        return extract.extract(published, output).sentences()

    def bench_decoders(
        self, *, rounds: int, threads: int | None, progress: Callable[[int, int], None] | None = None
    ) -> DecoderBench:
        """See `DetectionModel.bench_decoders`."""
        return decoder_bench.bench_decoders(rounds=rounds, threads=threads, progress=progress)


MODEL: DetectionModel = SSDResNet34Model()


@functools.cache
def _decoder(kind: DecoderKind) -> Decoder:
    return NativeDecoder() if kind == "native" else NumpyDecoder()


def _as_list(images: Image | Sequence[Image]) -> list[Image]:
    if isinstance(images, str | PathLike):
        return [images]
    if isinstance(images, np.ndarray):
        stacked = images.ndim == 4 or (images.ndim == 3 and images.shape[2] not in (1, 3))
        return list(images) if stacked else [images]
    return list(images)


def _pixels(image: Image) -> npt.NDArray[np.uint8]:
    if isinstance(image, np.ndarray):
        return image
    try:
        return decode_image(Path(image).read_bytes())
    except OSError as error:
        raise DatasetError(f"cannot be read ({error.strerror})", where=str(image)) from error
    except ValueError as error:
        raise DatasetError(str(error), where=str(image)) from error


def _of_image(output: RawOutput, k: int, count: int) -> RawOutput:
    """The part of image k of an output for ``count`` images."""
    if isinstance(output, QuantizedTensor):
        if output.layout is not None and count == 1:
            return output
        return QuantizedTensor(_of_batch(output.data, k, count), output.scale, output.zero_point, output.layout)
    return _of_batch(output, k, count)


def _of_batch(batch: npt.NDArray[Any], k: int, count: int) -> npt.NDArray[Any]:
    if batch.ndim != 4 or len(batch) != count:
        raise ValueError(f"an output of shape {batch.shape} is not for the {count} images of the contexts")
    return batch[k : k + 1]
