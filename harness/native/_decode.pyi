from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

def available_simd() -> list[str]: ...
def read(array: npt.NDArray[np.uint8], /) -> int: ...

class Decoder:
    def __init__(
        self,
        maps: Sequence[tuple[int, int]],
        priors: npt.NDArray[np.float32],
        quantized_tensor: type,
        tiled_layout: type,
        simd: str = "",
    ) -> None: ...
    @property
    def simd(self) -> str: ...
    @property
    def image_decoder(self) -> object: ...
    def decode(
        self,
        outputs: object,
        score_threshold: float,
        iou_threshold: float,
        max_detections: int,
        reference_nms: bool,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]: ...
    def scan(self, outputs: object, score_threshold: float, repeats: int) -> int: ...

class AnchorFreeDecoder:
    def __init__(
        self,
        side: int,
        classes: int,
        cells: Sequence[int],
        places: int,
        objectness: bool,
        split: bool,
        centred: bool,
        clipped: bool,
        quantized_tensor: type,
        simd: str = "",
    ) -> None: ...
    @property
    def simd(self) -> str: ...
    @property
    def image_decoder(self) -> object: ...
    def decode(
        self,
        outputs: object,
        score_threshold: float,
        iou_threshold: float,
        max_detections: int,
        width: int,
        height: int,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]: ...
