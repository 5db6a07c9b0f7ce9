"""Counters of a running test become the figures that a person sees."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster.messages import NodePlace
from harness.live import figures as module
from harness.live.figures import Meter, busy_range
from harness.loadgen.messages import PhaseName
from harness.loadgen.plan import Plan
from harness.loadgen.process import Progress
from harness.pipeline.counters import CURRENT, tally
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.pulse import CALLED, LOST, WAY, Pulse

MS = 1_000_000


class Bench:
    """A test whose devices answer when they are told to, on a clock that only moves when it is told to."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        scenario: str = "server",
        devices: int = 2,
        nodes: Sequence[NodePlace] = (),
        **more: Any,
    ) -> None:
        self.now_ns = 1_000 * MS
        monkeypatch.setattr(module, "monotonic", lambda: self.now_ns / 1e9)
        slots = tuple(SimpleNamespace(name=f"npu#{k}") for k in range(devices))
        cluster = SimpleNamespace(places=nodes) if nodes else None
        plan = SimpleNamespace(title="Server performance", scenario=scenario, slots=slots, cluster=cluster)
        self.pulse = Pulse(devices, len(nodes))
        offline = scenario == "offline"
        self.lanes = [tally(self.pulse.cells(), self.pulse.row(k), from_start=offline) for k in range(devices)]
        self.meter = Meter(cast(Plan, plan), **more)
        self.warnings: tuple[str, ...] = ()

    def answer(self, device: int, queue_ms: int = 1, inference_ms: int = 8, rest_ms: int = 1) -> None:
        """One sample, answered now."""
        completed = self.now_ns
        decoded = completed - rest_ms * MS
        inferred = decoded
        started = inferred - inference_ms * MS
        records = array("q", (1, 7, started - queue_ms * MS, started, inferred, inferred, decoded, decoded))
        self.lanes[device].add(records, 1, completed)

    def wait(self, ms: int) -> None:
        self.now_ns += ms * MS

    def read(self, elapsed_s: float = 1.0, samples: int | None = 100, least_s: float = 0.0) -> module.Figures:
        done = self.pulse.done
        phase: PhaseName = "running" if done else "calibrating"
        return self.meter.read(Progress(phase, done, samples, elapsed_s, least_s, self.pulse, self.warnings))


def test_rates_count_from_the_first_issue_and_from_the_recent_past(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    assert bench.read().samples_per_second is None
    for _ in range(40):
        bench.wait(100)
        bench.answer(0)
        bench.answer(1)
        seen = bench.read()
    # the first issue was 10 ms before the first answer, and 3.9 s passed from there to the last
    assert seen.samples_per_second == pytest.approx(80 / 3.91)
    assert seen.recent_per_second == pytest.approx(20, rel=0.01)
    assert seen.history == pytest.approx((20, 20, 20), rel=0.01)
    assert [device.per_second for device in seen.devices] == pytest.approx([10, 10])
    assert [device.busy for device in seen.devices] == pytest.approx([0.08, 0.08])
    assert busy_range(seen.devices) == pytest.approx((0.08, 0.08, 0.08))


def test_nodes_have_the_figures_of_their_sessions_and_their_share_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [NodePlace(name, "", (DeviceSlot(k, "npu", ()),), own_cores=False) for k, name in enumerate("ab")]
    bench = Bench(monkeypatch, nodes=places)
    assert [node.way_share for node in bench.read().nodes] == [None, None]
    for _ in range(40):
        bench.wait(100)
        bench.answer(0)
    row = bench.pulse.node_row(0)
    bench.pulse.cells()[row + WAY], bench.pulse.cells()[row + CALLED] = 2 * MS, 10 * MS
    bench.pulse.cells()[bench.pulse.node_row(1) + LOST] = 1
    seen = bench.read()
    first, second = seen.nodes
    assert (first.name, first.samples, first.way_share, first.lost) == ("a", 40, 0.2, False)
    assert (first.per_second, first.busy) == (seen.devices[0].per_second, seen.devices[0].busy)
    assert (second.name, second.samples, second.way_share, second.lost) == ("b", 0, None, True)


def test_remaining_time_is_that_of_the_missing_samples_or_of_the_least_duration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    bench.read()
    for _ in range(10):
        bench.wait(100)
        bench.answer(0)
    by_samples = bench.read(elapsed_s=1.0, samples=100)
    assert by_samples.remaining_s == pytest.approx(90 * 0.91 / 10)
    assert by_samples.share == pytest.approx(1 / (1 + 8.19))
    by_time = bench.read(elapsed_s=1.0, samples=100, least_s=60)
    assert by_time.remaining_s == pytest.approx(59)
    passed = bench.read(elapsed_s=70, samples=5, least_s=60)
    assert (passed.remaining_s, passed.share, passed.samples) == (0, 1, None)


def test_latencies_count_from_the_issue_and_in_offline_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for scenario, expected_ms in (("server", 110), ("offline", 10)):
        bench = Bench(monkeypatch, scenario)
        bench.wait(200)
        bench.answer(0, queue_ms=100, inference_ms=9)
        seen = bench.read()
        assert seen.latency_ms == pytest.approx({"p50": expected_ms, "p90": expected_ms, "p99": expected_ms}, rel=0.008)
        assert seen.latency_from == ("issue" if scenario == "server" else "start")
        stages_ms = {"queue": 100, "inference": 9, "wait": 0, "postprocess": 0, "complete": 1}
        assert seen.stages_ms == pytest.approx(stages_ms)


def test_what_waits_is_issued_and_neither_at_work_nor_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.pulse.cells()[bench.pulse.submitted_cell] = 10
    bench.wait(10)
    bench.answer(0)
    bench.pulse.cells()[bench.pulse.row(1) + CURRENT] = 43
    seen = bench.read()
    assert seen.waiting == 8
    assert [device.at_sample for device in seen.devices] == [None, 42]


def test_a_session_that_is_long_at_one_sample_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.wait(10)
    bench.answer(1)
    bench.pulse.cells()[bench.pulse.row(1) + CURRENT] = 43
    bench.warnings = ("npu#0 was retired at sample 3",)
    for _ in range(9):
        seen = bench.read()
        bench.wait(500)
    assert seen.devices[1].at_it_s == pytest.approx(4.0)
    assert seen.warnings == (
        "npu#0 was retired at sample 3",
        "npu#1 has been at sample 42 for 2 s; it usually takes 8 ms",
    )


def test_running_accuracy_is_shown_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    running = SimpleNamespace(latest=None)
    bench = Bench(monkeypatch, accuracy=running)
    assert bench.read().accuracy is None
    running.latest = (0.213, 128)
    assert bench.read().accuracy == (0.213, 128)


def test_no_devices_with_figures_have_no_range(monkeypatch: pytest.MonkeyPatch) -> None:
    assert busy_range(Bench(monkeypatch).read().devices) is None
