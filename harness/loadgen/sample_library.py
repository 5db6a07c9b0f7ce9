"""LoadGen's query sample library (QSL): which samples are in memory now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from harness.cluster.dispatcher import ClusterDispatcher
from harness.loadgen.plan import SampleSource
from harness.sessions.protocol import Tensor

CHUNK = 16  # samples between two signs of life


class Library(Protocol):
    """What LoadGen asks to load samples."""

    tensors: dict[int, Tensor]
    """Sample index → (1, 3, H, W) tensor, of those that are loaded."""

    def load(self, indices: Sequence[int]) -> None:
        """LoadSamplesToRam; LoadGen does not count its time."""
        ...

    def unload(self, indices: Sequence[int]) -> None:
        """UnloadSamplesFromRam."""
        ...


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


class RemoteLibrary:
    """Samples that every node of a cluster loads for itself: here each is an empty array."""

    def __init__(self, nodes: ClusterDispatcher) -> None:
        self._nodes = nodes
        self.tensors: dict[int, Tensor] = {}

    def load(self, indices: Sequence[int]) -> None:
        """LoadSamplesToRam, on all nodes at once."""
        self._nodes.load(indices)
        self.tensors.update((index, np.empty(0, np.uint8)) for index in indices)

    def unload(self, indices: Sequence[int]) -> None:
        """UnloadSamplesFromRam, on all nodes."""
        self._nodes.unload(indices)
        for index in indices:
            self.tensors.pop(index, None)
