"""What the heads of the family give, and how a file of one is recognised.

YOLO11 and YOLOv8: (1, 84, N): centre x, centre y, width, height in pixels of the input, then 80 class scores. YOLOX:
(1, N, 85): the centre as an offset from its cell and the logarithms of the sizes, both in strides, then objectness and
80 class scores. Either may be split into an output each of boxes (1, 4, N), objectness (1, 1, N) and scores (1, 80, N),
which quantized models need: their values have different ranges. N is the cells of strides 8, 16 and 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import ModelError
from harness.quantization import onnx_file
from harness.records import Decoding, TensorSpec

Family = Literal["yolo11", "yolox"]

CLASSES = 80
STRIDES = (8, 16, 32)
TITLES: dict[Family, str] = {"yolo11": "YOLO11", "yolox": "YOLOX"}

DECODINGS: dict[Family, Decoding] = {
    # MLPerf Inference v6.0, vision/classification_and_detection/yolo
    "yolo11": Decoding(score_threshold=0.001, iou_threshold=0.7, max_detections=300),
    # YOLOX's own evaluation: test_conf and nmsthre of yolox/exp/yolox_base.py; it keeps all that NMS leaves
    "yolox": Decoding(score_threshold=0.01, iou_threshold=0.65, max_detections=1000),
}


@dataclass(frozen=True)
class Head:
    """One model of the family.

    Attributes:
        family: whose way of writing boxes, and of feeding images.
        side: of the square input, in pixels.
        split: boxes, objectness and scores are outputs of their own.
        input_name: of the graph's input.
        input_dtype: "float32", or "uint8" where the normalisation is inside.
        output_names: of the graph's outputs, in order; none: the usual ones.
    """

    family: Family = "yolo11"
    side: int = 640
    split: bool = False
    input_name: str = "images"
    input_dtype: str = "float32"
    output_names: tuple[str, ...] = ()

    @property
    def has_objectness(self) -> bool:
        """Whether a score is the product of an objectness and a class score."""
        return self.family == "yolox"

    @property
    def cells(self) -> tuple[int, ...]:
        """Cells along a side of each grid."""
        return tuple(self.side // stride for stride in STRIDES)

    @property
    def places(self) -> int:
        """N: places that a box may come from."""
        return sum(cells**2 for cells in self.cells)

    @property
    def input(self) -> TensorSpec:
        """(1, 3, side, side)."""
        return TensorSpec(self.input_name, (1, 3, self.side, self.side), self.input_dtype)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What the graph gives, as float32."""
        shapes = self._shapes()
        names = self.output_names or tuple(shapes)
        return tuple(TensorSpec(name, shape, "float32") for name, shape in zip(names, shapes.values(), strict=True))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        if self.split:
            objectness = {"objectness": (1, 1, self.places)} if self.has_objectness else {}
            return {"boxes": (1, 4, self.places), **objectness, "scores": (1, CLASSES, self.places)}
        if self.has_objectness:
            return {"output": (1, self.places, 5 + CLASSES)}
        return {"output0": (1, 4 + CLASSES, self.places)}


def head_of(file: Path) -> Head:
    """The head of an ONNX file.

    Raises:
        ModelError: the file cannot be read, or its input and outputs are no such model's.
    """
    inputs, outputs = onnx_file.specs(onnx_file.load(file, check=False))
    if len(inputs) != 1:
        raise ModelError(f"it has {len(inputs)} inputs, not one", where=str(file))
    shape = inputs[0].shape
    if len(shape) != 4 or shape[:2] != (1, 3) or shape[2] != shape[3] or shape[2] < 32 or shape[2] % 32:
        raise ModelError(
            f"its input {shape} is not (1, 3, S, S) with S a multiple of 32",
            where=str(file),
            hint="export the model with a fixed, square input and batch 1",
        )
    names = tuple(spec.name for spec in outputs)
    families: tuple[Family, ...] = ("yolo11", "yolox")
    for family in families:
        for split in (False, True):
            head = Head(family, shape[2], split, inputs[0].name, inputs[0].dtype)
            if [spec.shape for spec in head.outputs] == [spec.shape for spec in outputs]:
                return Head(family, shape[2], split, inputs[0].name, inputs[0].dtype, names)
    wanted = " or ".join(str(Head(family, shape[2]).outputs[0].shape) for family in families)
    found = ", ".join(str(spec.shape) for spec in outputs)
    raise ModelError(
        f"its outputs {found} are not those of YOLO11, YOLOv8 or YOLOX at {shape[2]} px: {wanted}",
        where=str(file),
        hint="export it for the 80 categories of COCO, without NMS",
    )
