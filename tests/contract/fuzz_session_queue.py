"""Sessions that die, hang, are closed and answer late at random moments: no sample is lost, and none answered twice.

python tests/contract/fuzz_session_queue.py [RUNS] [SEED]
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.model.registry import load_model
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.postprocess import Answer, DecodeSetup
from harness.pipeline.postprocessors import new_postprocess
from harness.pipeline.pulse import Pulse
from harness.pipeline.session_queue import SessionQueue
from harness.records import Detections
from harness.sessions.protocol import Completion, Completions

MODEL = load_model("ssd_resnet34")
OUTPUTS = MODEL.example_outputs(0, quantized=True)
FLOATS: list[Any] = list(MODEL.example_outputs(0, quantized=False))
WITH_NAN = [output.copy() for output in FLOATS]
WITH_NAN[5].reshape(-1)[0] = np.nan
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
HANG_S = float(os.environ.get("FUZZ_HANG_S", "1"))  # long enough for a healthy session of a busy machine
FAULTS = ("none", "dies", "hangs", "late", "closed", "refuses", "nan")


class Session:
    """Goes wrong at a random run, or is closed from outside."""

    input: Any = None
    outputs: Any = ()
    new_outputs = True

    def __init__(self, chance: random.Random, fault: str) -> None:
        self.fault = fault
        self.at = chance.randrange(1, 12)
        self.seconds = chance.choice([0.0, 0.0001, 0.0005])
        self.runs = 0
        self.release = threading.Event()
        self.closed = False

    def outcome(self) -> Any:
        """What this run gives: outputs, an error, or None for a hang."""
        self.runs += 1
        if self.closed:
            return ValueError("the session is closed")
        if self.runs < self.at or self.fault in ("none", "closed", "refuses"):
            return OUTPUTS
        if self.fault == "dies":
            return RuntimeError("device lost")
        if self.fault == "nan":
            return WITH_NAN
        return None

    def close(self) -> None:
        self.closed = True


class Blocking(Session):
    def run(self, images: Any) -> Any:
        outcome = self.outcome()
        if self.fault == "refuses" and self.runs >= self.at:
            raise OSError("no such ioctl")
        if outcome is None:
            self.release.wait(2 * HANG_S if self.fault == "late" else None)
            return OUTPUTS
        if isinstance(outcome, Exception):
            raise outcome
        time.sleep(self.seconds)
        return outcome


class Asynchronous(Blocking):
    def __init__(self, chance: random.Random, fault: str) -> None:
        super().__init__(chance, fault)
        self.in_flight = chance.randrange(1, 5)

    def submit(self, tag: int, images: Any, completions: Completions) -> None:
        outcome, now = self.outcome(), time.monotonic_ns()
        if self.fault == "refuses" and self.runs >= self.at:
            raise OSError("no such ioctl")
        due = now + int(self.seconds * 1e9)
        if outcome is None:
            if self.fault == "hangs":
                return
            due, outcome = now + int(2e9 * HANG_S), OUTPUTS
        completions.put_at(due, Completion(tag, outcome, now, due))


def run(seed: int) -> None:
    """One test; asserts that all is well at its end."""
    chance = random.Random(seed)
    count = chance.randrange(1, 6)
    faults = ["none", *(chance.choice(FAULTS) for _ in range(count - 1))]
    chance.shuffle(faults)
    sessions = [chance.choice([Blocking, Asynchronous])(chance, fault) for fault in faults]
    pulse = Pulse(count)
    decoder: Any = MODEL.decoder("native")
    setup = chance.choice(
        [
            DecodeSetup(None, MODEL.decoding),
            DecodeSetup(decoder.decode, MODEL.decoding, decoder.image_decoder),
            DecodeSetup(lambda outputs: NOTHING, MODEL.decoding),
        ]
    )
    batches = chance.random() < 0.5
    answered: Counter[int] = Counter()
    failures: list[BaseException] = []

    def respond(answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        answered.update(sample_id for sample_id, _, _ in answers)

    postprocess = new_postprocess(setup, pulse, count, inline=False, batches=batches, every_value=False)
    queue = SessionQueue(
        [DeviceSlot(k, "fake") for k in range(count)],
        lambda slot: sessions[slot.index],  # type: ignore[arg-type,return-value]
        dict.fromkeys(range(64), np.zeros((1, 3, 2, 2), np.uint8)),
        postprocess,
        respond,
        failures.append,
        pulse,
        batches=batches,
        in_flight=chance.choice([1, 2]),
        retire=True,
        hang_s=HANG_S,
    )
    closing = threading.Thread(target=close_some, args=(sessions, chance.random() * 0.01))
    closing.start()
    issued = 0
    for _ in range(chance.randrange(1, 4)):
        samples = chance.choice([1, 8, 200, 500])
        queue.submit(range(issued, issued + samples), [k % 64 for k in range(samples)])
        issued += samples
        if chance.random() < 0.5:
            time.sleep(chance.random() * 0.005)
    closer = threading.Thread(target=queue.close)
    closer.start()
    closer.join(120)
    assert not closer.is_alive(), f"seed {seed}: {len(answered)} of {issued} answered, {faults}"
    closing.join()
    for session in sessions:
        session.release.set()
    assert not failures, (seed, failures)
    assert sorted(answered) == list(range(issued)), f"seed {seed}: a sample is lost"
    assert set(answered.values()) == {1}, f"seed {seed}: a sample was answered twice"
    assert sum(len(lane.records()) for lane in queue.lanes) == issued == pulse.done


def close_some(sessions: Sequence[Session], after_s: float) -> None:
    time.sleep(after_s)
    for session in sessions:
        if session.fault == "closed":
            session.close()


def main() -> None:
    runs, seed = (int(text) for text in (sys.argv[1:] + ["10000", "0"][len(sys.argv) - 1 :]))
    before = threading.active_count()
    began = time.monotonic()
    for k in range(seed, seed + runs):
        run(k)
        if (k + 1 - seed) % 500 == 0:
            print(f"{k + 1 - seed} runs, {time.monotonic() - began:.0f} s", flush=True)
    time.sleep(0.5)
    assert threading.active_count() == before, threading.enumerate()
    print(f"{runs} runs from seed {seed}: no sample lost, none answered twice, no thread left")


if __name__ == "__main__":
    main()
