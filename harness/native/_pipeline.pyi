from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

COLUMNS: tuple[str, ...]
FIELDS: int

def wait_until(moment_ns: int, long_early_ns: int, short_early_ns: int, /) -> None: ...

class Tally:
    def __init__(self, cells: memoryview, at: int, layout: object, from_start: bool, /) -> None: ...
    def add(self, records: array[int], count: int, completed_ns: int, /) -> None: ...

class Mailbox:
    def put(self, message: Any, /) -> None: ...
    def put_at(self, due_ns: int, message: Any, /) -> None: ...
    def get(self, timeout_s: float, patience_ns: int, awake: bool = False, /) -> list[Any]: ...

class Decoded:
    @property
    def outputs(self) -> Any: ...
    @property
    def decoded_ns(self) -> int: ...

class Postprocess:
    def __init__(
        self,
        *,
        decoder: object | None,
        explain: Callable[[Any, int], object],
        mailbox: Mailbox,
        cells: memoryview,
        rows: Sequence[int],
        layout: object,
        from_start: bool,
        threads: int,
        score_threshold: float,
        iou_threshold: float,
        max_detections: int,
        reference_nms: bool,
        label_ids: Sequence[int],
        image_sizes: Sequence[tuple[int, int]],
        every_value: bool,
        ring_after_s: float,
        ring_at: int,
    ) -> None: ...
    def prepare(self, outputs: object, sample_index: int, /) -> Decoded: ...
    def post(
        self,
        session: int,
        sample_id: int,
        sample_index: int,
        issued_ns: int,
        started_ns: int,
        inferred_ns: int,
        outputs: object,
        /,
    ) -> None: ...
    def finish(
        self,
        session: int,
        sample_id: int,
        sample_index: int,
        issued_ns: int,
        started_ns: int,
        inferred_ns: int,
        outputs: object,
        /,
    ) -> tuple[int, int, int]: ...
    def collect(self) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int, int, int]]]: ...
    def answered(self) -> None: ...
    @property
    def pending(self) -> int: ...
    def records(self, session: int, /) -> npt.NDArray[np.int64]: ...
    def close(self) -> None: ...
