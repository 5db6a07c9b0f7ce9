"""LoadGen's query sample library (QSL): which samples are in memory now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.loadgen.plan import SampleSource
from harness.sessions.protocol import Tensor

CHUNK = 16  # samples between two signs of life


class SampleLibrary:
    """Holds the loaded set and nothing else.

    Args:
        source: gives the tensors.
        beat: told "still working" while it loads.
    """

    def __init__(self, source: SampleSource, beat: Callable[[], None]) -> None:
        self._source = source
        self._beat = beat
        self.tensors: dict[int, Tensor] = {}
        """Sample index → (1, 3, H, W) tensor. The lanes hold this very dictionary."""

    def load(self, indices: Sequence[int]) -> None:
        """LoadSamplesToRam; LoadGen does not count its time."""
        missing = [index for index in indices if index not in self.tensors]
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            self.tensors.update(zip(chunk, self._source.load(chunk), strict=True))
            self._beat()

    def unload(self, indices: Sequence[int]) -> None:
        """UnloadSamplesFromRam."""
        for index in indices:
            self.tensors.pop(index, None)
