"""The mistakes that exports and backends of SSD-ResNet34 make, each as another way to feed or to read the model."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from harness.model.probing import Floats, InputReading, OutputReading, OutputTraces
from harness.model.ssd_resnet34.heads import FEATURE_MAPS, NUM_CLASSES
from harness.model.ssd_resnet34.numpy_decoder import corners, softmax
from harness.model.ssd_resnet34.preprocess import MEAN, STD, preprocess
from harness.model.ssd_resnet34.priors import prior_boxes

_HALF = len(FEATURE_MAPS)
_SUREST = 60
_SURE = 0.5


class SSDResNet34Probe:
    """Implements `harness.model.probing.Probe`."""

    def inputs(self, dtype: str) -> list[InputReading]:
        """See `Probe.inputs`. A uint8 model has its normalisation inside, so that only colours can be wrong."""
        scales = _NORMALISATIONS if dtype == "float32" else _NORMALISATIONS[:1]
        return [
            InputReading(
                "-".join(filter(None, (name, colours))) or "as-expected",
                tuple(filter(None, ("normalisation" * bool(problem), "colour order" * bool(colours)))),
                " and ".join(filter(None, (problem, _BGR_PROBLEM * bool(colours)))),
                " and ".join(filter(None, (advice, _BGR_ADVICE * bool(colours)))),
                functools.partial(_tensor, dtype=dtype, change=change, bgr=bool(colours)),
            )
            for colours, (name, problem, advice, change) in itertools.product(("", "bgr"), scales)
        ]

    def outputs(self) -> list[list[OutputReading]]:
        """See `Probe.outputs`."""
        return [
            [
                OutputReading("class-major", "class layout", "", "", list, "classes"),
                OutputReading(
                    "anchor-major-classes",
                    "class layout",
                    "class channels are anchor · 81 + class, not class · A + anchor",
                    "permute the class heads: ssd-harness prepare model --extract does it where the graph tells",
                    functools.partial(_each_head, first=0, change=functools.partial(_value_major, values=NUM_CLASSES)),
                    "classes",
                ),
            ],
            [
                OutputReading("background-first", "background", "", "", list, "classes"),
                OutputReading(
                    "background-last",
                    "background",
                    "the background is the last class, not the first",
                    "move the last class's channels of every class head to the front",
                    functools.partial(_each_head, first=0, change=_background_to_front),
                    "classes",
                ),
            ],
            [
                OutputReading("coordinate-major", "box layout", "", "", list),
                OutputReading(
                    "anchor-major-boxes",
                    "box layout",
                    "box channels are anchor · 4 + coordinate, not coordinate · A + anchor",
                    "permute the box heads: ssd-harness prepare model --extract does it where the graph tells",
                    functools.partial(_each_head, first=_HALF, change=functools.partial(_value_major, values=4)),
                ),
            ],
            [
                OutputReading("xywh", "box order", "", "", list),
                *(
                    OutputReading(
                        f"{name}-boxes",
                        "box order",
                        f"boxes are {', '.join(name)} (of the centre and the size), not x, y, w, h",
                        "exchange the coordinates' channels of every box head",
                        functools.partial(_each_head, first=_HALF, change=functools.partial(_coordinates, order=order)),
                    )
                    for name, order in (("yxhw", (1, 0, 3, 2)), ("whxy", (2, 3, 0, 1)), ("hwyx", (3, 2, 1, 0)))
                ),
            ],
            [
                OutputReading("maps-in-order", "output order", "", "", list),
                *(
                    OutputReading(
                        f"maps-exchanged-{name}",
                        "output order",
                        f"the {name} outputs of maps 4 and 5, which have the same shape, are exchanged",
                        "give the outputs in this order: the six class heads, then the six box heads, coarse maps last",
                        functools.partial(_exchanged, first=first),
                    )
                    for name, first in (("class", (0,)), ("box", (_HALF,)), ("class-and-box", (0, _HALF)))
                ),
            ],
        ]

    def traces(self, outputs: Sequence[Floats]) -> OutputTraces:
        """See `Probe.traces`."""
        shares = softmax(np.concatenate([map_.reshape(NUM_CLASSES, -1) for map_ in outputs[:_HALF]], axis=1))
        deltas = np.concatenate([map_.reshape(4, -1) for map_ in outputs[_HALF:]], axis=1)
        best = shares[1:].max(axis=0)
        surest = np.argpartition(-best, _SUREST)[:_SUREST]
        labels = shares[1:, surest].argmax(axis=0)
        boxes = corners(deltas)[surest].astype(np.float64)
        priors = prior_boxes()[surest]
        with np.errstate(all="ignore"):
            sizes = (boxes[:, 2:] - boxes[:, :2]) / priors[:, 2:]
            ratio = float(np.exp(np.median(np.abs(np.log(sizes)))))
            entropy = -np.sum(shares * np.log(np.maximum(shares, 1e-30)), axis=0).mean() / np.log(NUM_CLASSES)
        return OutputTraces(
            background=float(shares[0].mean()),
            entropy=float(entropy),
            confident=float((best >= _SURE).sum()),
            size_ratio=ratio,
            agreement=_agreement(boxes, labels),
            inside=float(np.mean((boxes > -0.1).all(axis=1) & (boxes < 1.1).all(axis=1))),
        )


def _agreement(boxes: npt.NDArray[np.float64], labels: npt.NDArray[np.intp]) -> float:
    """Mean over the boxes of the best IoU with another one of the same label."""
    with np.errstate(all="ignore"):
        size = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        overlap = size.clip(0).prod(axis=2)
        area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
        iou = overlap / (area[:, None] + area - overlap)
    iou[(labels[:, None] != labels) | np.eye(len(boxes), dtype=np.bool_) | ~np.isfinite(iou)] = 0
    return float(iou.max(axis=1).mean())


_BGR_PROBLEM = "the model takes BGR, and is fed RGB"
_BGR_ADVICE = "exchange the first convolution's input channels 0 and 2"

_NORMALISATIONS: tuple[tuple[str, str, str, Callable[[Floats], Floats]], ...] = (
    ("", "", "", lambda tensor: tensor),
    (
        "raw",
        "the model takes pixels 0..255, and is fed normalised ones: its normalisation is inside",
        "take the normalisation out of the graph, or make its input uint8",
        lambda tensor: (tensor * STD[:, None, None] + MEAN[:, None, None]) * 255,
    ),
    (
        "0-to-1",
        "the model takes pixels 0..1, and is fed mean and standard deviation too",
        "fold (x − mean)/std into the first convolution, or take the normalisation out of the graph",
        lambda tensor: tensor * STD[:, None, None] + MEAN[:, None, None],
    ),
    (
        "minus-1-to-1",
        "the model takes pixels −1..1, and is fed (x/255 − mean)/std",
        "fold the difference into the first convolution",
        lambda tensor: (tensor * STD[:, None, None] + MEAN[:, None, None]) * 2 - 1,
    ),
    (
        "mean-only",
        "the model takes 0..255 less the mean, and is fed (x/255 − mean)/std",
        "fold the difference into the first convolution",
        lambda tensor: tensor * STD[:, None, None] * 255,
    ),
)


def _tensor(
    encoded: bytes, *, dtype: str, change: Callable[[Floats], Floats], bgr: bool
) -> npt.NDArray[np.uint8] | Floats:
    tensor = change(preprocess(encoded, dtype))  # type: ignore[arg-type] # uint8 is left as it is
    return np.ascontiguousarray(tensor[::-1] if bgr else tensor, dtype)


def _each_head(outputs: Sequence[Floats], *, first: int, change: Callable[[Floats, int], Floats]) -> list[Floats]:
    """The same with the six class heads (``first`` 0) or box heads changed."""
    changed = list(outputs)
    for k, feature_map in enumerate(FEATURE_MAPS):
        changed[first + k] = np.ascontiguousarray(change(outputs[first + k], feature_map.anchors))
    return changed


def _value_major(output: Floats, anchors: int, *, values: int) -> Floats:
    grid = output.shape[-2:]
    return output.reshape(anchors, values, *grid).swapaxes(0, 1).reshape(1, values * anchors, *grid)


def _background_to_front(output: Floats, anchors: int) -> Floats:
    return np.roll(output.reshape(NUM_CLASSES, -1), 1, axis=0).reshape(output.shape)


def _coordinates(output: Floats, anchors: int, *, order: tuple[int, ...]) -> Floats:
    """The coordinates as given → x, y, w, h; every order here undoes itself."""
    return output.reshape(4, -1)[list(order)].reshape(output.shape)


def _exchanged(outputs: Sequence[Floats], *, first: tuple[int, ...]) -> list[Floats]:
    changed = list(outputs)
    for k in first:
        changed[k + 4], changed[k + 5] = changed[k + 5], changed[k + 4]
    return changed
