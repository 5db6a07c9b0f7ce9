"""A node: sessions, tensors and decoding of its own, told by the host what to do. It knows nothing of Ray."""

from __future__ import annotations

import os
import platform
import resource
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any

from harness.cluster.messages import Identity, NodeRetired, NodeSetup, Proof, SampleFailedOnNode, Status, unpack_samples
from harness.cluster.node_files import NodeFiles, own_model
from harness.cluster.outbox import Outbox, Recorded
from harness.errors import DataError
from harness.model.registry import load_model
from harness.pipeline.burst import burst, worth_a_burst
from harness.pipeline.devices import DeviceSlot, place
from harness.pipeline.dispatch import Retired
from harness.pipeline.lane import LaneFailed
from harness.pipeline.pulse import Pulse
from harness.pipeline.session_queue import SessionQueue
from harness.pipeline.system_under_test import checked_session
from harness.sessions import Session
from harness.sessions.protocol import Tensor
from harness.settings import BackendSettings, ModelSettings
from harness.source_code import code_sha256
from harness.system import system, versions
from harness.version import __version__

ORPHANED_S = 30.0
"""A node that has heard nothing of its host for so long ends itself: the host was killed, or cannot be reached."""
LOADED_AT_ONCE = 16


class Node:
    """The part of a test that runs on one node.

    Its methods are called from any thread, several at once; `work` returns when there are answers.

    Args:
        orphaned_s: it ends its process when nobody has called for so long; 0: never.
    """

    def __init__(self, orphaned_s: float = ORPHANED_S) -> None:
        self._heard = monotonic()
        self._outbox = Outbox()
        self._tensors: dict[int, Tensor] = {}
        self._retired: list[NodeRetired] = []
        self._pulse: Pulse | None = None
        self._queue: SessionQueue | None = None
        if orphaned_s:
            threading.Thread(target=self._end_without_host, args=(orphaned_s,), name="host watch", daemon=True).start()

    # Before a test.

    def check_session(self, model: ModelSettings, backend: BackendSettings, device: str, file: Path | None) -> str:
        """Opens a session to see that the model fits; gives the dtype of its input.

        Args:
            file: of the model, at the host's path.

        Raises:
            HarnessError: it does not, or cannot be opened.
        """
        with _named_errors(), checked_session(model, backend, device, own_model(file)) as dtype:
            return dtype

    def prove(self, setup: NodeSetup) -> Proof:
        """What is here of what the test needs.

        Raises:
            HarnessError: something is here and cannot be used.
        """
        with _named_errors():
            self._setup = setup
            self._files = files = NodeFiles(setup)
            missing, differing = files.look_for_images()
            identity = Identity(__version__, code_sha256(), files.round_sha256(), files.model_sha256())
            return Proof(identity, missing, differing, {"host": platform.node(), "versions": versions(), **system()})

    def keep(self, pieces: Sequence[tuple[str, str, bytes]]) -> None:
        """Keeps pieces of files that are missing here: sha256 of the whole, name, content; an empty one ends a file.

        Raises:
            DataError: they cannot be written.
        """
        with _named_errors():
            for digest, name, content in pieces:
                self._files.keep(digest, name, content)

    def open(self) -> None:
        """Opens the sessions.

        Raises:
            HarnessError: one of them cannot be opened.
        """
        with _named_errors():
            files, sut = self._files, self._files.system
            model = load_model(sut.model.name, sut.model_file)
            self._source = files.source()
            self._slots = slots = self._own_slots()
            self._pulse = pulse = Pulse(len(slots))
            self._decoding = sut.decode_setup(model)
            postprocess = Recorded(sut.new_postprocess(model, pulse, len(slots)), pulse, len(slots), self._outbox)

            def open_slot(slot: DeviceSlot) -> Session:
                whole = replace(self._setup.place.slots[slot.index], cores=slot.cores)
                session = sut.open_session(model, whole)
                pulse.beat()
                return session

            self._queue = sut.new_queue(
                slots, open_slot, self._tensors, postprocess, postprocess.respond, self._fail, pulse, self._retire
            )

    def load(self, indices: Sequence[int]) -> None:
        """Loads the tensors of these samples into memory."""
        pulse = self._opened()[1]
        missing = [index for index in indices if index not in self._tensors]
        with _named_errors():
            for start in range(0, len(missing), LOADED_AT_ONCE):
                chunk = missing[start : start + LOADED_AT_ONCE]
                self._tensors.update(zip(chunk, self._source.load(chunk), strict=True))
                pulse.beat()

    def unload(self, indices: Sequence[int]) -> None:
        """Forgets the tensors of these samples."""
        for index in indices:
            self._tensors.pop(index, None)

    def rehearse(self, runs: int, sample_index: int, hang_s: float) -> list[float]:
        """Runs on every session at once; see `harness.pipeline.dispatch.Dispatcher.rehearse`.

        Raises:
            SampleFailedOnNode: a session failed.
        """
        queue, _ = self._opened()
        try:
            return queue.rehearse(self._tensors[sample_index], runs, sample_index, hang_s=hang_s)
        except LaneFailed as error:
            raise SampleFailedOnNode(error.slot.index, error.sample_index, str(error)) from None

    def burst(self, sample_index: int, latency_s: float) -> float | None:
        """Samples per second of the sessions together; None: their own times say enough.

        Raises:
            SampleFailedOnNode: a sample failed.
        """
        queue, pulse = self._opened()
        sut = self._files.system
        if not worth_a_burst(queue.lanes, latency_s):
            return None
        try:
            return burst(
                queue.lanes,
                self._tensors[sample_index],
                self._decoding,
                pulse.beat,
                batches=sut.batches,
                in_flight=sut.in_flight,
                hang_s=sut.watchdog_s if sut.goes_on else None,
            )
        except LaneFailed as error:
            raise SampleFailedOnNode(error.slot.index, error.sample_index, str(error)) from None

    def leaves_host_idle(self) -> bool:
        """Whether the processors have nothing to do while the devices work."""
        return all(getattr(lane.session, "host_idle", False) for lane in self._opened()[0].lanes)

    # In a test.

    def work(self, samples: bytes) -> bytes:
        """Takes samples, and gives as many answers when there are so many, of whichever samples.

        Args:
            samples: of `pack_samples`.

        Returns:
            What `harness.cluster.messages.HEAD` and `ROW` describe.

        Raises:
            SampleFailedOnNode: a sample failed, and no other session can take over.
        """
        received_ns, queue = monotonic_ns(), self._queue
        assert queue is not None, "samples come after the sessions are open"
        numbers, indices = unpack_samples(samples)
        queue.submit(numbers, indices)
        return self._outbox.take(len(numbers), received_ns)

    def status(self) -> Status:
        """How things stand; whoever asks is there."""
        self._heard = monotonic()
        pulse, usage = self._pulse, resource.getrusage(resource.RUSAGE_SELF)
        at_work = () if pulse is None else tuple(pulse.counters().at_work.tolist())
        beats = 0 if pulse is None else pulse.total
        cpu_s, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
        return Status(beats, at_work, tuple(self._retired), cpu_s, memory)

    def close(self) -> None:
        """Closes the sessions, when every sample is answered."""
        if self._queue is not None:
            self._queue.close()

    def _opened(self) -> tuple[SessionQueue, Pulse]:
        assert self._queue is not None and self._pulse is not None, "the sessions are open"
        return self._queue, self._pulse

    def _own_slots(self) -> tuple[DeviceSlot, ...]:
        """The sessions numbered from 0, on this machine's cores."""
        given = self._setup.place.slots
        if not self._setup.place.own_cores:
            return tuple(place([slot.device for slot in given]))
        return tuple(DeviceSlot(k, slot.device, slot.cores) for k, slot in enumerate(given))

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, LaneFailed):
            error = SampleFailedOnNode(error.slot.index, error.sample_index, str(error))
        self._outbox.fail(error)

    def _retire(self, retired: Retired) -> None:
        self._retired.append(NodeRetired(retired.slot.index, retired.sample_index, retired.reason))

    def _end_without_host(self, orphaned_s: float) -> None:
        while monotonic() - self._heard < orphaned_s:
            threading.Event().wait(orphaned_s / 10)
        os._exit(1)


@contextmanager
def _named_errors() -> Iterator[Any]:
    """Makes what the operating system refuses an error with its file's name."""
    try:
        yield
    except OSError as error:
        raise DataError(error.strerror or str(error), where=str(error.filename or "")) from error
