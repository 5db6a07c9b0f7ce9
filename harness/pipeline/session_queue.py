"""The queue between LoadGen and the sessions: one thread that keeps every device busy."""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, repeat
from time import monotonic, monotonic_ns, sleep
from typing import cast

from harness.errors import Stalled
from harness.pipeline.balance import Balance
from harness.pipeline.counters import BEFORE_SAMPLES, CURRENT
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.dispatch import Respond, Retired
from harness.pipeline.finite import check_all
from harness.pipeline.lane import Lane, LaneFailed, OpenSession, Sample, SessionThread, open_lanes, what_failed
from harness.pipeline.postprocess import BATCH_NS, REHEARSAL, Postprocess
from harness.pipeline.pulse import AtWork, Pulse
from harness.pipeline.rehearsal import Rehearsal
from harness.records import RawOutput
from harness.sessions.protocol import Completion, Tensor

MOST_WAITING = 8192  # samples of small queries: LoadGen's thread then waits; it counts latencies from the schedule
BIG_QUERY = 64  # samples; such a one is never held up
IDLE_S = 60.0  # the driving thread looks around now and then
LAST_S = 0.0002  # how often it looks for the last answers of a query, which the decode pool would tell of later


class SessionQueue:
    """One thread drives all sessions: it gives each its next image before the device is done with the last one.

    What happens comes to this thread as a message: a completion, or a call to make. All the state of the queue is this
    thread's own, so that no sample is lost and none answered twice: a completion counts only as long as its session
    has the sample. Decoding happens in `postprocess`, beside the sessions, and LoadGen is answered from here, in
    batches where nobody waits for a single answer.

    Args:
        tensors: sample index → (1, 3, H, W) tensor, for the samples now in memory.
        respond: hands answers to LoadGen.
        on_failure: told of what cannot be helped; nothing is answered after that.
        pulse: told of the samples that LoadGen issues, and of those at work.
        batches: nobody waits for a single answer, as in Offline.
        in_flight: how many images a blocking session is given at once.
        retire: a session that cannot be opened, fails, or is at one sample for longer than ``hang_s``, is taken out and
            its samples go to others, as long as there are any; else the first failure goes to ``on_failure``, and hangs
            are for the process that watches.
        open_s: no session was opened for so long: those that are left hang, where sessions are retired.
        on_retired: told of a session that was taken out.

    Raises:
        BaseException: the first error of opening a session, after the others have been closed.
    """

    def __init__(
        self,
        slots: Sequence[DeviceSlot],
        open_session: OpenSession,
        tensors: Mapping[int, Tensor],
        postprocess: Postprocess,
        respond: Respond,
        on_failure: Callable[[BaseException], None],
        pulse: Pulse,
        *,
        batches: bool = False,
        in_flight: int = 2,
        retire: bool = False,
        hang_s: float = 120,
        open_s: float = 900,
        on_retired: Callable[[Retired], None] = lambda retired: None,
    ) -> None:
        self._tensors = tensors
        self._postprocess, self._decoded = postprocess, postprocess.decoded
        self._mailbox = postprocess.mailbox
        self._respond = respond
        self._on_failure = on_failure
        self._pulse, self._cells = pulse, pulse.cells()
        self._batches, self._retire, self._hang_s = batches, retire, hang_s
        self._on_retired = on_retired
        self.lanes, self.retired = open_lanes(
            slots, open_session, postprocess, in_flight, pulse, do_without_after_s=open_s if retire else None
        )
        for retired in self.retired:
            on_retired(retired)
        self._lane_of = {lane.slot.index: lane for lane in self.lanes}
        self._slots = len(slots)
        self._balance = Balance(self.lanes)
        self._tags = count()
        self._queries: deque[Iterator[Sample]] = deque()
        self._issued = 0  # samples; the issuing thread's
        self._taken = 0
        self._rehearsal: Rehearsal | None = None
        self._patience_ns = 0
        self._closing = False
        self._driver = threading.Thread(target=self._drive, name="session queue", daemon=True)
        self._driver.start()

    # What other threads call.

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        """Leaves the query to the driving thread; for each sample nothing is stored but its two numbers."""
        samples = zip(array("Q", sample_ids), array("Q", sample_indices), repeat(monotonic_ns()), strict=False)
        self._issued += len(sample_ids)
        self._cells[self._pulse.submitted_cell] += len(sample_ids)
        self._mailbox.put(lambda: self._begin_query(samples))
        while len(sample_ids) < BIG_QUERY and self._left() > MOST_WAITING:
            sleep(0.0005)

    def rehearse(self, tensor: Tensor, runs: int, sample_index: int = 0, *, hang_s: float = 120) -> list[float]:
        """Runs them on all sessions at once, on each one after the other."""
        rehearsal = Rehearsal(tensor, runs, sample_index, hang_s)
        self._mailbox.put(lambda: self._begin(rehearsal))
        return rehearsal.result()

    def settle(self) -> None:
        """Returns when the driving thread has done all that it was told before."""
        settled = threading.Event()
        self._mailbox.put(settled.set)
        settled.wait()

    def close(self) -> None:
        """A retired session is left as it is: whoever closes a device that hangs may hang too."""

        def begin() -> None:
            self._closing = True

        self._mailbox.put(begin)
        self._driver.join()
        for lane in self._balance.lanes:
            lane.close()
        self._postprocess.close()

    # The driving thread.

    def _drive(self) -> None:
        watch_s = min(0.25, self._hang_s / 4) if self._retire else IDLE_S
        at_work, watched = AtWork(2 * watch_s), monotonic()
        try:
            while not (self._closing and self._idle()):
                for message in self._mailbox.get(*self._waits(watch_s)):
                    if isinstance(message, Completion):
                        self._complete(message)
                    else:
                        message()
                self._assign()
                if self._answer():
                    self._assign()
                if self._retire and monotonic() - watched >= watch_s:
                    watched = monotonic()
                    self._retire_hanging(at_work.seconds(self._pulse.slots(), watched))
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to
            self._on_failure(error)

    def _left(self) -> int:
        return self._issued - self._taken

    def _waits(self, watch_s: float) -> tuple[float, int]:
        """How many seconds the thread waits for a message, and ns for others after the first one."""
        if not self._batches or self._left():
            return watch_s, self._patience_ns
        return (LAST_S if self._postprocess.pending else watch_s), 0  # nobody comes after the last ones

    def _idle(self) -> bool:
        lanes = self._balance.lanes
        return not lanes or not (self._left() or self._postprocess.pending or any(lane.flights for lane in lanes))

    def _begin_query(self, samples: Iterator[Sample]) -> None:
        self._queries.append(samples)
        if self._batches and all(lane.in_flight > 1 for lane in self.lanes):
            # a completion may wait for others as long as its device has another image to work on
            self._patience_ns = min(BATCH_NS, min(lane.took_ns for lane in self.lanes) // 4)

    def _assign(self) -> None:
        """Gives samples to sessions while there are both, and room for their outputs."""
        room = self._postprocess.most_pending - self._postprocess.pending
        if room <= 0:
            return
        while left := self._issued - self._taken:
            lane = self._balance.next(left)
            sample = self._next_sample() if lane is not None else None
            if lane is None or sample is None:
                return
            self._give(lane, sample, self._tensors[sample[1]])

    def _next_sample(self) -> Sample | None:
        """None: the message with the next query is still on its way."""
        while self._queries:
            for sample in self._queries[0]:
                self._taken += 1
                return sample
            self._queries.popleft()
        return None

    def _give(self, lane: Lane, sample: Sample, tensor: Tensor) -> None:
        tag = next(self._tags) * self._slots + lane.slot.index
        lane.flights[tag] = sample
        self._balance.got_one(lane)
        if len(lane.flights) == 1:
            self._say_current(lane)
        try:
            if isinstance(lane.driven, SessionThread):
                lane.driven.submit(tag, tensor, self._mailbox, sample[1])
            else:
                lane.driven.submit(tag, tensor, self._mailbox)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed(lane, sample, error)

    def _say_current(self, lane: Lane) -> None:
        """Tells those who watch which sample the session is at."""
        for tag, (sample_id, index, _) in lane.flights.items():
            # a rehearsal is told from the one before it by its tag
            self._cells[lane.row + CURRENT] = BEFORE_SAMPLES - 1 - tag if sample_id == REHEARSAL else index + 1
            return
        self._cells[lane.row + CURRENT] = 0

    def _complete(self, completion: Completion) -> None:
        tag, outputs, started, ended = completion
        lane = self._lane_of[tag % self._slots]
        sample = lane.flights.get(tag)
        if sample is None:
            return  # its session was retired meanwhile, and the sample is another one's
        try:
            if isinstance(outputs, BaseException):
                raise outputs
            if sample[0] == REHEARSAL:
                ended += self._check_rehearsal(outputs)
            else:
                self._postprocess.post(lane.slot.index, *sample, started, ended, outputs)
        except BaseException as error:  # noqa: BLE001 - whatever a backend or a decoder raises
            self._failed(lane, sample, error)
            return
        del lane.flights[tag]
        self._balance.lost_one(lane)
        self._say_current(lane)
        lane.took((outputs.decoded_ns if isinstance(outputs, self._decoded) else ended) - started)
        if sample[0] == REHEARSAL:
            self._rehearsed(lane)

    def _answer(self) -> bool:
        """Whether there was anything to answer."""
        if not self._postprocess.pending:
            return False
        answers, failures = self._postprocess.collect()
        if answers:
            self._respond(answers)
            self._postprocess.answered()
        for failure in failures:
            sample = failure.sample_id, failure.sample_index, failure.issued_ns
            self._failed(self._lane_of[failure.session], sample, ValueError(failure.what))
        return bool(answers or failures)

    # What goes wrong.

    def _failed(self, lane: Lane, sample: Sample, error: BaseException) -> None:
        reason = what_failed(error)
        if sample[0] == REHEARSAL and self._rehearsal is not None:
            lane.flights.clear()
            self._say_current(lane)
            if self._retire and len(self._balance.lanes) > 1:
                self._remove(lane, sample, reason)
                self._rehearsal.leave(lane.slot.index)
            else:
                self._rehearsal.fail(lane.slot.index, _failure(lane, sample, reason, error))
        elif not self._take_out(lane, sample, reason):
            if lane in self._balance.lanes:
                self._balance.remove(lane)
            self._on_failure(_failure(lane, sample, reason, error))

    def _take_out(self, lane: Lane, sample: Sample, reason: str) -> bool:
        """Retires the session if that is wanted and it is not the last one; its samples go to others."""
        samples = list(lane.flights.values())
        if sample not in samples:  # its outputs were of no use, when it had left the device
            samples.append(sample)
        if lane in self._balance.lanes:
            if not self._retire or len(self._balance.lanes) < 2:
                return False
            self._remove(lane, sample, reason)
        lane.flights.clear()
        self._say_current(lane)
        self._queries.appendleft(iter(samples))
        self._taken -= len(samples)
        return True

    def _remove(self, lane: Lane, sample: Sample, reason: str) -> None:
        self._balance.remove(lane)
        self.retired.append(Retired(lane.slot, sample[1], reason))
        if isinstance(lane.driven, SessionThread):
            lane.driven.end()
        self._on_retired(self.retired[-1])

    def _retire_hanging(self, seconds: Sequence[float]) -> None:
        for lane in list(self._balance.lanes):
            for sample in list(lane.flights.values())[:1]:
                rehearsal = self._rehearsal if sample[0] == REHEARSAL else None
                hang_s = self._hang_s if rehearsal is None else rehearsal.hang_s
                if seconds[lane.slot.index] > hang_s:
                    self._failed(lane, sample, Stalled(f"no answer for {hang_s:g} s"))

    # Rehearsals.

    def _begin(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        rehearsal.begin(lane.slot.index for lane in self._balance.lanes)
        for lane in list(self._balance.lanes):
            self._give(lane, rehearsal.sample, rehearsal.tensor)

    def _check_rehearsal(self, outputs: object) -> int:
        """Looks at every value and decodes; gives the ns that the decoding took."""
        if isinstance(outputs, self._decoded):
            check_all(outputs.outputs)
            return 0
        raw = cast(list[RawOutput], outputs)
        check_all(raw)
        began = monotonic_ns()
        self._postprocess.finish(REHEARSAL, REHEARSAL, 0, 0, 0, 0, raw)
        return monotonic_ns() - began

    def _rehearsed(self, lane: Lane) -> None:
        rehearsal = cast(Rehearsal, self._rehearsal)
        if rehearsal.end_one(lane.slot.index, lane.took_ns):
            self._give(lane, rehearsal.sample, rehearsal.tensor)
        lane.took_ns = rehearsal.took_ns[lane.slot.index]


def _failure(lane: Lane, sample: Sample, reason: str, error: BaseException) -> LaneFailed:
    failure = LaneFailed(lane.slot, sample[1], reason)
    failure.__cause__ = error
    return failure
