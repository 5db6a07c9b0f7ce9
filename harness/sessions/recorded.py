"""What a real device gave and how long it took, kept to be played again by a simulated one."""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.records import QuantizedTensor, RawOutput, TiledLayout

STEP = 997  # of the values that a key looks at: 4 333 of a 1200×1200 image, in 20 µs
IN_MEMORY = 128  # images whose outputs are kept; LoadGen has 64 samples loaded at a time
LAYOUT_FIELDS = ("ho", "co", "hi", "ci", "w")


def content_key(images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> str:
    """Names an input tensor by every `STEP`-th of its values. `save_outputs` refuses two images with one key."""
    values = images.reshape(-1)[::STEP] if images.size > STEP else images
    return hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()


def save_outputs(
    folder: Path, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32], outputs: Sequence[RawOutput]
) -> Path:
    """Writes the outputs of one image into the folder, which exists; gives the file.

    Raises:
        DataError: another image with the same key is there.
    """
    path = folder / f"{content_key(images)}.npz"
    whole = np.frombuffer(hashlib.sha256(np.ascontiguousarray(images).tobytes()).digest(), np.uint8)
    if path.exists():
        with np.load(path) as there:
            if not np.array_equal(there["image"], whole):
                raise DataError("two images look the same to the recording", where=str(path))
    arrays: dict[str, Any] = {"image": whole}
    for k, output in enumerate(outputs):
        if isinstance(output, QuantizedTensor):
            arrays |= {f"data_{k}": output.data, f"quantization_{k}": np.array([output.scale, output.zero_point])}
            if output.layout is not None:
                arrays[f"layout_{k}"] = np.array([getattr(output.layout, name) for name in LAYOUT_FIELDS])
                arrays[f"order_{k}"] = np.array(output.layout.order)
        else:
            arrays[f"data_{k}"] = output
    np.savez(path, **arrays)
    return path


class RecordedOutputs:
    """A folder of recorded outputs, found by the input tensor. Sessions that name the same folder share its memory.

    Raises:
        DataError: there is nothing in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def any(self) -> list[RawOutput]:
        """The outputs of some image."""
        path = min(self._folder.glob("*.npz"), default=None)
        if path is None:
            hint = "make them with ssd-harness prepare outputs"
            raise DataError("no recorded outputs here", where=str(self._folder), hint=hint)
        return _read(path)

    def find(self, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> list[RawOutput]:
        """The outputs of this image.

        Raises:
            DataError: it was not recorded.
        """
        return _read(self._folder / f"{content_key(images)}.npz")


@functools.lru_cache(IN_MEMORY)
def _read(path: Path) -> list[RawOutput]:
    outputs: list[RawOutput] = []
    try:
        with np.load(path, allow_pickle=False) as file:
            for k in range(sum(name.startswith("data_") for name in file.files)):
                data = file[f"data_{k}"]
                if f"quantization_{k}" not in file:
                    outputs.append(data)
                    continue
                scale, zero_point = file[f"quantization_{k}"].tolist()
                layout = None
                if f"layout_{k}" in file:
                    order: Any = str(file[f"order_{k}"])
                    layout = TiledLayout(order, *file[f"layout_{k}"].tolist())
                outputs.append(QuantizedTensor(data, scale, int(zero_point), layout))
    except FileNotFoundError:
        hint = "record the same images, preprocessed to the same type"
        raise DataError("this image was not recorded", where=str(path), hint=hint) from None
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from error
    return outputs


@functools.lru_cache(4)
def recorded_latencies_s(path: Path) -> npt.NDArray[np.float64]:
    """(samples,) inference times of a run's ``samples.csv.gz``, in its order, in seconds.

    Raises:
        DataError: it cannot be read, or there are none in it.
    """
    try:
        with gzip.open(path, "rt", newline="") as file:
            times_ns = [int(row["inferred_ns"]) - int(row["started_ns"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"not a run's samples.csv.gz: {error!r}", where=str(path)) from error
    if not times_ns:
        raise DataError("no samples in it", where=str(path))
    return np.array(times_ns) / 1e9
