"""Measures the decoders of the family beside each other, and beside the way of the reference.

That is a full sort of the candidates and non-maximum suppression of all of them at once, as ultralytics' Python does
it, in NumPy; and the same with OpenCV's ``cv2.dnn.NMSBoxes``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from harness.model.decoder_timing import Contestants, DecoderBench, Postprocess, time_decoders
from harness.model.yolo.example_outputs import CANDIDATES, Scene, example_outputs
from harness.model.yolo.head import TITLES, Head
from harness.model.yolo.native_decoder import NativeDecoder
from harness.model.yolo.numpy_decoder import NumpyDecoder
from harness.model.yolo.raw_outputs import parts_of
from harness.records import RawOutputs

Floats = npt.NDArray[np.float32]

REFERENCE, OPENCV, ORACLE = "reference way, NumPy", "reference way, cv2.dnn.NMSBoxes", "NumPy float32"
_CLASS_OFFSET = 7680  # moves the boxes of each class away from all others, as ultralytics does


def bench_decoders(
    head: Head,
    *,
    rounds: int = 100,
    threads: int | None = None,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> DecoderBench:
    """Times every postprocessor on a background-only, a typical and a crowded image.

    Args:
        head: whose outputs.
        rounds: in each, every postprocessor has its turn: ten calls of a native one, one of another.
        threads: for the throughput; every core this process may use if left out.
        seed: of the images.
        progress: told how many of the measurements are done, and of how many.

    Raises:
        BackendError: the native postprocessor was not built here.
    """
    scenes: dict[str, Contestants] = {scene: _contestants(head, scene, seed) for scene in CANDIDATES}
    timings = time_decoders(scenes, rounds, threads, progress)
    title = f"{TITLES[head.family]}, {head.places} places"
    remark = "float32 is one output, as exported; split is boxes and scores apart, which INT8 needs."
    return DecoderBench(title, NativeDecoder(head).simd, "reference", timings, remark=remark)


def _contestants(head: Head, scene: Scene, seed: int) -> Contestants:
    fused, split = replace(head, split=False, output_names=()), replace(head, split=True, output_names=())
    whole = example_outputs(fused, seed, quantized=False, scene=scene)
    parts = example_outputs(split, seed, quantized=False, scene=scene)
    int8 = example_outputs(split, seed, quantized=True, scene=scene)
    oracle, native, native_split = NumpyDecoder(fused), NativeDecoder(fused), NativeDecoder(split)
    calls: dict[str, Postprocess] = {
        REFERENCE: lambda: reference_way(whole, fused, opencv=False),
        OPENCV: lambda: reference_way(whole, fused, opencv=True),
        ORACLE: lambda: oracle.decode(whole, image_size=(640, 480)),
        "native float32": lambda: native.decode(whole, image_size=(640, 480)),
        "native float32, split": lambda: native_split.decode(parts, image_size=(640, 480)),
        "native int8, split": lambda: native_split.decode(int8, image_size=(640, 480)),
    }
    return Contestants(calls, (REFERENCE, OPENCV, ORACLE), REFERENCE)


def reference_way(outputs: RawOutputs, head: Head, *, opencv: bool) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Boxes (K, 4) ltrb in pixels of the input, scores and classes from 0, the best 300.

    Args:
        outputs: float32.
        head: whose they are; with offsets from cells, these are read as pixels: the work is the same.
        opencv: NMS by OpenCV rather than by a matrix of all overlaps.
    """
    decoding = NumpyDecoder(head).decoding
    parts = parts_of(outputs, head)
    table = np.concatenate([parts.boxes, parts.scores]).T.copy()
    confidence, classes = table[:, 4:].max(axis=1), table[:, 4:].argmax(axis=1)
    if parts.objectness is not None:
        confidence = confidence * parts.objectness
    kept = confidence > decoding.score_threshold
    table, confidence, classes = table[kept], confidence[kept], classes[kept]
    order = np.argsort(-confidence)
    table, confidence, classes = table[order], confidence[order], classes[order]
    half = table[:, 2:4] / 2
    boxes = np.concatenate([table[:, :2] - half, table[:, :2] + half], axis=1)
    apart = boxes + (classes * _CLASS_OFFSET)[:, None]
    if opencv:
        corners = np.concatenate([apart[:, :2], apart[:, 2:] - apart[:, :2]], axis=1)
        found = np.asarray(
            cv2.dnn.NMSBoxes(corners.tolist(), confidence.tolist(), decoding.score_threshold, decoding.iou_threshold),
            np.intp,
        )
    else:
        found = _matrix_nms(apart, decoding.iou_threshold)
    found = found[:300]
    return boxes[found], confidence[found], classes[found]


def _matrix_nms(boxes: Floats, threshold: float) -> npt.NDArray[np.intp]:
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    size = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    overlap = size.clip(0).prod(axis=2)
    too_near = overlap / (area[:, None] + area - overlap + 1e-7) > threshold
    alive = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if alive[i]:
            alive[i + 1 :] &= ~too_near[i, i + 1 :]
    return np.flatnonzero(alive)
