"""The postprocessor of the family in C++: the results of `NumpyDecoder`, in a fraction of a millisecond.

The scores are scanned against the threshold before anything else is computed; the sources are in ``harness/native``.
"""

from __future__ import annotations

from typing import Any

from harness.model.native_extension import chosen_simd, decode_extension
from harness.model.protocol import ImageSize
from harness.model.yolo.decoding import chosen
from harness.model.yolo.head import CLASSES, DECODINGS, Head
from harness.model.yolo.raw_outputs import check_raw_outputs
from harness.records import Detections, Nms, QuantizedTensor, RawOutputs


class NativeDecoder:
    """Decodes the raw outputs of one head. Implements `harness.model.protocol.Decoder`.

    Nothing is copied on the way in, the GIL is released, and any number of threads may decode at once.
    """

    def __init__(self, head: Head, simd: str | None = None) -> None:
        """Builds the decoder.

        Args:
            head: whose outputs.
            simd: the instruction set of the hot loops; every one gives the same results. Left out, it is the
                environment's ``SSD_HARNESS_SIMD``, else the fastest.

        Raises:
            BackendError: the extension was not built here.
            UsageError: this machine cannot run that instruction set.
        """
        self.head = head
        self.decoding = DECODINGS[head.family]
        self._decoder: Any = decode_extension().AnchorFreeDecoder(
            side=head.side,
            classes=CLASSES,
            cells=head.cells if head.has_objectness else (),
            places=head.places,
            objectness=head.has_objectness,
            split=head.split,
            centred=head.family == "yolo11",
            clipped=head.family == "yolo11",
            quantized_tensor=QuantizedTensor,
            simd=chosen_simd(simd),
        )

    @property
    def simd(self) -> str:
        """The instruction set in use: "avx512", "avx2" or "baseline"."""
        return str(self._decoder.simd)

    @property
    def image_decoder(self) -> object:
        """What decodes without Python, for as long as this decoder lives: a capsule of ``native/image_decoder.h``."""
        return self._decoder.image_decoder

    def decode(
        self,
        outputs: RawOutputs,
        *,
        image_size: ImageSize | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        nms: Nms = "corrected",
    ) -> Detections:
        """Detections of one image: the arguments, results and errors of `NumpyDecoder.decode`."""
        parameters = chosen(self.decoding, image_size, score_threshold, iou_threshold, max_detections)
        try:
            return Detections(*self._decoder.decode(outputs, *parameters))
        except ValueError:
            check_raw_outputs(outputs, self.head)  # says what the extension only refuses
            raise
