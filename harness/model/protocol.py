"""What the harness asks of a detection model. SSD-ResNet34 is one object behind this; another one is another folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from harness.model.probing import Probe
from harness.quantization.int8 import Normalisation
from harness.records import Detections, RawOutput, RawOutputs, TensorSpec

Nms = Literal["corrected", "reference"]


class Decoder(Protocol):
    """Turns the raw outputs of one image into detections. Safe to call from any number of threads at once."""

    def decode(
        self,
        outputs: RawOutputs,
        *,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        max_detections: int = 200,
        nms: Nms = "corrected",
    ) -> Detections:
        """Detections of one image.

        Raises:
            ValueError: an output of the wrong count, dtype, shape, layout or scale; the message names it.
        """
        ...


class DetectionModel(Protocol):
    """A detection model: what goes in, what comes out, and how the one becomes the other."""

    name: str
    """Its name in our configuration, e.g. ``ssd_resnet34``."""
    benchmarks: tuple[str, ...]
    """The benchmarks that it can serve, by their names in ``configs/rounds``, the preferred one first. A run takes the
    first that its round has; a name of our own is a model of the open division."""
    input: TensorSpec
    """The image tensor: (1, 3, H, W). Its dtype is what the default (INT8) model takes."""
    outputs: tuple[TensorSpec, ...]
    """The raw outputs in order, as float32; a quantized session gives the same shapes as int8 or uint8."""
    labels: tuple[str, ...]
    """Class names; index 0 is background."""
    normalisation: Normalisation
    """What a float32 model takes of a pixel; a quantized one has it inside."""

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

    def decoder(self, kind: Literal["native", "numpy"]) -> Decoder:
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
        """
        ...

    def default_file(self, precision: Literal["int8", "float32"], report: Callable[[str], None]) -> Path:
        """The default ONNX model, built into the user's cache on first use; ``report`` is told of slow steps."""
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
