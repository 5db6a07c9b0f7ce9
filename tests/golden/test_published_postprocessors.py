"""Our postprocessor against the two that FuriosaAI published. Each comparison is skipped where its oracle is absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.model import NativeDecoder, NumpyDecoder
from harness.model.protocol import Decoder
from harness.model.ssd_resnet34.example_outputs import Scene, example_outputs
from harness.records import Detections

SCENES: list[Scene] = ["background", "typical", "crowded"]


@pytest.fixture(params=[NumpyDecoder, NativeDecoder], ids=["numpy", "native"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    made: Decoder = request.param()
    return made


@pytest.fixture(scope="module")
def published() -> Any:
    module = pytest.importorskip("furiosa_native_postprocess", reason="furiosa-native-postprocess is not installed")
    return module.ssd_resnet34.RustPostProcessor()


@pytest.fixture(scope="module")
def graph(data: Path) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    path = data / "oracles" / "mlcommons_ssd_resnet34_postprocess.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def unmatched(found: Detections, other: Detections, box_tolerance: float) -> list[tuple[int, float]]:
    """(label, score) of what one has and the other has not, score to 1e-4 and box to the tolerance."""
    missing = []
    for a, b in ((found, other), (other, found)):
        for box, score, label in zip(a.boxes, a.scores, a.labels, strict=True):
            same = (b.labels == label) & (abs(b.scores - score) < 1e-4)
            if not (same & (abs(b.boxes - box).max(axis=1, initial=0) < box_tolerance)).any():
                missing.append((int(label), float(score)))
    return missing


class TestFuriosaNativePostprocess:
    """furiosa-native-postprocess 0.10.0: float32 arithmetic, no subtraction of the maximum in its softmax."""

    @staticmethod
    def decode(published: Any, outputs: list[npt.NDArray[np.float32]]) -> Detections:
        tensors = [output[0] for output in outputs]
        found = published.eval(tensors[6:], tensors[:6])
        boxes = np.array([[d.left, d.top, d.right, d.bottom] for d in found], np.float32).reshape(-1, 4)
        return Detections(
            boxes, np.array([d.score for d in found], np.float32), np.array([d.class_id for d in found], np.int32)
        )

    @pytest.mark.parametrize("scene", SCENES)
    @pytest.mark.parametrize("seed", range(5))
    def test_the_corrected_nms_gives_the_same_detections(
        self, published: Any, decoder: Decoder, seed: int, scene: Scene
    ) -> None:
        outputs = example_outputs(seed, quantized=False, scene=scene)
        expected = self.decode(published, outputs)
        found = decoder.decode(outputs)
        assert len(found) == len(expected)
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.boxes, expected.boxes, rtol=0, atol=1e-5)

    def test_large_logits_overflow_there_and_not_here(self, published: Any, decoder: Decoder) -> None:
        outputs = example_outputs(1, quantized=False)
        shifted = [output + np.float32(100 * (k < 6)) for k, output in enumerate(outputs)]
        assert len(self.decode(published, shifted)) == 0
        assert len(decoder.decode(shifted)) == len(decoder.decode(outputs)) > 0


class TestOnnxPostprocessingGraph:
    """FuriosaAI's MLPerf v1.1 graph: clamped IoU without a margin; its boxes differ from ours by up to 0.0032."""

    @staticmethod
    def decode(graph: Any, outputs: list[npt.NDArray[np.float32]]) -> Detections:
        heads = [f"cls_{k}" for k in range(6)] + [f"loc_{k}" for k in range(6)]
        feed = {f"ssd1200/multibox_head/{head}/BiasAdd:0": x for head, x in zip(heads, outputs, strict=True)}
        names = ["detection_bboxes:0", "detection_scores:0", "detection_classes:0"]
        boxes, scores, classes = (output[0] for output in graph.run(names, feed))
        real = scores > 0.05
        return Detections(boxes[real][:, [1, 0, 3, 2]], scores[real], classes[real].astype(np.int32))

    @pytest.mark.parametrize("scene", SCENES)
    @pytest.mark.parametrize("seed", range(5))
    def test_the_corrected_nms_gives_the_same_detections(
        self, graph: Any, decoder: Decoder, seed: int, scene: Scene
    ) -> None:
        outputs = example_outputs(seed, quantized=False, scene=scene)
        found, expected = decoder.decode(outputs), self.decode(graph, outputs)
        # Its boxes differ a little, so an IoU near 0.5 may fall to the other side: 1 in 100 detections at the most.
        assert len(unmatched(found, expected, box_tolerance=0.0032)) <= 0.01 * (len(found) + len(expected))
