"""The postprocessor of SSD-ResNet34 in C++: the results of `NumpyDecoder`, in a fraction of a millisecond.

The sources are in ``harness/native``; the method, the figures and how to repeat them are in the page "postprocessor".
"""

from __future__ import annotations

from harness.model.native_extension import chosen_simd, decode_extension
from harness.model.protocol import ImageSize
from harness.model.ssd_resnet34.decoding import DECODING, check_parameters
from harness.model.ssd_resnet34.heads import FEATURE_MAPS
from harness.model.ssd_resnet34.priors import prior_boxes
from harness.model.ssd_resnet34.raw_outputs import check_raw_outputs
from harness.records import Detections, Nms, QuantizedTensor, RawOutputs, TiledLayout


class NativeDecoder:
    """Decodes the twelve raw outputs of SSD-ResNet34. Implements `harness.model.protocol.Decoder`.

    Nothing is copied or unpacked on the way in, the GIL is released, and any number of threads may decode at once.
    """

    def __init__(self, simd: str | None = None) -> None:
        """Chooses the instruction set.

        Args:
            simd: the instruction set of the hot loops, one of `available_simd()`; every one gives the same results.
                Left out, it is the environment's ``SSD_HARNESS_SIMD``, else the fastest.

        Raises:
            BackendError: the extension was not built here.
            UsageError: this machine cannot run that instruction set.
        """
        simd = chosen_simd(simd)
        maps = [(m.grid, m.anchors) for m in FEATURE_MAPS]
        self._decoder = decode_extension().Decoder(maps, prior_boxes(), QuantizedTensor, TiledLayout, simd)

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
        score_threshold: float = DECODING.score_threshold,
        iou_threshold: float = DECODING.iou_threshold,
        max_detections: int = DECODING.max_detections,
        nms: Nms = DECODING.nms,
    ) -> Detections:
        """Detections of one image: the arguments, results and errors of `NumpyDecoder.decode`."""
        check_parameters(score_threshold, iou_threshold, max_detections, nms)
        try:
            return Detections(
                *self._decoder.decode(outputs, score_threshold, iou_threshold, max_detections, nms == "reference")
            )
        except ValueError:
            check_raw_outputs(outputs)  # says what the extension only refuses
            raise

    def scan(self, outputs: RawOutputs, *, score_threshold: float = 0.05, repeats: int = 1) -> int:
        """Only the pass that rejects background anchors, for measurements: how many it leaves."""
        return int(self._decoder.scan(outputs, score_threshold, repeats))
