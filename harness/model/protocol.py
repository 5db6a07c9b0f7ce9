"""What the harness asks of a detection model: each is an object behind this Protocol, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from harness.model.decoder_timing import DecoderBench
from harness.model.probing import Probe
from harness.records import (
    Decoding,
    Detections,
    Nms,
    Normalisation,
    RawOutput,
    RawOutputs,
    TensorSpec,
)

DecoderKind = Literal["native", "numpy"]
ImageSize = tuple[int, int]
"""Width and height of an original image, in pixels."""


class Decoder(Protocol):
    """Turns the raw outputs of one image into detections. Safe to call from any number of threads at once.

    Parameters that are not given are the model's own (`DetectionModel.decoding`). A native decoder also offers the
    decode pool its work without Python: a property ``image_decoder``, see ``harness/native/image_decoder.h``.
    """

    def decode(
        self,
        outputs: RawOutputs,
        *,
        image_size: ImageSize | None = None,
        score_threshold: float = ...,
        iou_threshold: float = ...,
        max_detections: int = ...,
        nms: Nms = ...,
    ) -> Detections:
        """Detections of one image, with boxes normalised to it.

        Args:
            outputs: as a session gives them.
            image_size: of the original image. A model that keeps the aspect ratio needs it to map boxes back
                (`DetectionModel.needs_image_size`); another one takes no notice of it.

        Raises:
            ValueError: an output of the wrong count, dtype, shape, layout or scale; the message names it.
        """
        ...


class DetectionModel(Protocol):
    """A detection model: what goes in, what comes out, and how the one becomes the other.

    What a file decides (its input size, say) is known of the object that `for_file` gives.
    """

    name: str
    """Its name in our configuration: that of its folder, or ``package.module:object``."""
    title: str
    """Its name for people, e.g. ``SSD-ResNet34``."""
    benchmarks: tuple[str, ...]
    """The benchmarks that it can serve, by their names in ``configs/rounds``, the preferred one first. A run takes the
    first that its round has; a name of our own is a model of the open division."""
    round: str
    """The round whose rules a run follows unless it names another, e.g. ``v2.0``."""
    closed_division: str | None
    """Why this file's model is none for a closed submission, whatever its accuracy; None where nothing is known."""
    input: TensorSpec
    """The image tensor: (1, 3, H, W). Its dtype is what the default (INT8) model takes."""
    outputs: tuple[TensorSpec, ...]
    """The raw outputs in order, as float32; a quantized session gives the same shapes as int8 or uint8."""
    labels: tuple[str, ...]
    """Class names; index 0 is background. Detections have these indices; what a log writes for them is the round's."""
    normalisation: Normalisation
    """What a float32 model takes of a pixel; a quantized one has it inside."""
    decoding: Decoding
    """How its outputs are decoded unless a run says otherwise."""
    needs_image_size: bool
    """Whether decoding needs the size of the original image."""

    def for_file(self, file: Path) -> DetectionModel:
        """The model as this file has it; itself where a file decides nothing.

        Raises:
            ModelError: the file cannot be read, or is no such model.
        """
        ...

    def tensor(self, encoded: bytes, dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
        """One encoded image (JPEG or PNG bytes) as the (3, H, W) tensor of the dtype "uint8" or "float32".

        Must be picklable as a bound method: a process pool calls it.

        Raises:
            ValueError: the bytes are not a whole image.
        """
        ...

    @property
    def preprocess_key(self) -> str:
        """Names everything that the preprocessed bytes depend on besides the image; part of the cache key."""
        ...

    def decoder(self, kind: DecoderKind) -> Decoder:
        """The postprocessor of that kind."""
        ...

    def example_outputs(
        self, seed: int, *, quantized: bool, tiled: bool = False, objects: Detections | None = None
    ) -> list[RawOutput]:
        """Made-up raw outputs with a few planted objects, the same for the same seed: for simulated devices.

        Args:
            seed: any whole number from 0.
            quantized: int8 rather than float32.
            tiled: int8 in the layout of an NPU.
            objects: that the decoder finds in the outputs; none: a few of the seed's.

        Raises:
            UsageError: it has no such layout.
        """
        ...

    def default_file(self, precision: Literal["int8", "float32"], report: Callable[[str], None]) -> Path:
        """The default ONNX model, built into the user's cache on first use; ``report`` is told of slow steps.

        Raises:
            UsageError: there is no default one: a file must be given.
        """
        ...

    @property
    def probe(self) -> Probe:
        """Other ways to feed and to read a file of this model, to find out whether it is what it should be."""
        ...

    def extract(self, published: Path, output: Path) -> list[str]:
        """Cuts a published float32 model, whose graph goes on to detections, at its raw outputs.

        Returns:
            Sentences: which nodes became the outputs, and what else was changed.

        Raises:
            ModelError: the file cannot be used, or does not have what is looked for.
            DataError: the output cannot be written.
        """
        ...

    def bench_decoders(
        self, *, rounds: int, threads: int | None, progress: Callable[[int, int], None] | None = None
    ) -> DecoderBench:
        """Times its postprocessors beside each other on made-up images.

        Args:
            rounds: turns of each.
            threads: for the throughput; None: every core this process may use.
            progress: told how many of the measurements are done, and of how many.

        Raises:
            BackendError: the native postprocessor was not built here.
        """
        ...
