"""One real LoadGen test in a child process: its logs, and every way in which it can end."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.errors import BackendError, RunFailed, SampleFailed, Stalled
from harness.live.figures import Meter
from harness.loadgen.log import WarningTail, read_detail
from harness.loadgen.messages import Finished
from harness.loadgen.plan import Mode, Plan
from harness.loadgen.process import Progress, run_test
from harness.pipeline.devices import parse_devices, place
from harness.pipeline.pulse import SlotState
from harness.rounds import load_round
from harness.scenarios import Scenario
from harness.settings import BackendSettings, ModelSettings, ScenarioSettings
from tests.support.threads_left import no_thread_left

ROUND = load_round("v2.0")


@dataclass(frozen=True)
class Source:
    """Tensors that know their index; one of them cannot be loaded."""

    broken: int | None = None
    copies: int = 1
    """So many times each is in memory."""

    def load(self, indices: Sequence[int]) -> Sequence[Any]:
        if self.broken in indices:
            raise OSError("cache file is gone")
        return [np.full((self.copies, 1, 3, 8, 8), index, np.uint8)[0] for index in indices]


def plan(
    folder: Path, scenario: Scenario = "offline", mode: Mode = "performance", samples: int = 100, **changes: Any
) -> Plan:
    rules = ROUND.benchmark("ssd-resnet34").scenario(scenario)
    options = changes.pop("options", {})
    name = "tests.support.faulty_backend" if options else "simulated"
    backend = BackendSettings(name=name, warmup=2, options=options or {"latency_ms": 1})
    devices = changes.pop("devices", "dev" if scenario == "single_stream" else "dev*2")
    values: dict[str, Any] = {
        "folder": folder,
        "scenario": scenario,
        "mode": mode,
        "benchmark": "ssd-resnet34",
        "seeds": ROUND.seeds,
        "rules": rules.model_copy(update={"min_duration_s": 0.3, "min_queries": changes.pop("queries", 100)}),
        "performance_sample_count": 64,
        "scenario_settings": ScenarioSettings(),
        "model": ModelSettings(name="tests.support.tiny_model:MODEL"),
        "model_file": None,
        "backend": backend,
        "slots": tuple(place(parse_devices(devices))),
        "source": Source(),
        "sample_names": tuple(f"{k:03d}.jpg" for k in range(samples)),
    }
    return Plan(**values | changes)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    with no_thread_left():
        yield
    assert not multiprocessing.active_children()


def simulated(warmup: int = 0, on_device_failure: str = "stop", **options: Any) -> BackendSettings:
    """Calibration takes three runs of each device."""
    return BackendSettings.model_validate(
        {"name": "simulated", "warmup": warmup, "on_device_failure": on_device_failure, "options": options}
    )


def run(planned: Plan, seen: list[Progress] | None = None, watchdog_s: float = 20, startup_s: float = 30) -> Finished:
    seen = [] if seen is None else seen
    return run_test(planned, seen.append, watchdog_s=watchdog_s, startup_s=startup_s, poll_s=0.05)


def run_to_a_stall(planned: Plan, monkeypatch: pytest.MonkeyPatch, *hanging: int) -> None:
    """Runs with a clock that is put forward when these sessions alone are at work, and seem to hang.

    So nobody waits for a watchdog, and none is so short that a busy machine seems to hang before its time.
    """
    ahead_s, before, looks = 0.0, list[SlotState](), 0
    monkeypatch.setattr("harness.loadgen.process.monotonic", lambda: time.monotonic() + ahead_s)

    def see(progress: Progress) -> None:
        nonlocal ahead_s, before, looks
        states = progress.pulse.slots()
        looks = looks + 1 if states == before else 0
        before = states
        if looks >= 5 and [slot for slot, state in enumerate(states) if state.sample is not None] == [*hanging]:
            ahead_s += 100

    run_test(planned, see, watchdog_s=60, startup_s=90, poll_s=0.05)


def patient(planned: Plan) -> Plan:
    """In Server, with a bound that is above what any queue of the test can take."""
    if planned.scenario != "server":
        return planned
    return dataclasses.replace(planned, rules=planned.rules.model_copy(update={"latency_ms": 10_000.0}))


@pytest.mark.parametrize(
    ("scenario", "queries"), [("single_stream", 100), ("offline", 300), ("multi_stream", 662), ("server", 700)]
)
def test_a_performance_test_is_valid_with_the_rounds_seeds_and_the_counts_asked_for(
    tmp_path: Path, scenario: Scenario, queries: int
) -> None:
    # as fast as the devices can be: whatever else the machine does, no test is too short, and Server has ten seconds
    lengths = ScenarioSettings(expected_latency_ms=0.2, expected_qps=10_000, target_qps=1000)
    backend = BackendSettings(name="simulated", warmup=2, options={"latency_ms": 0.2})
    seen: list[Progress] = []
    planned = plan(tmp_path, scenario, queries=queries, scenario_settings=lengths, backend=backend)
    finished = run(patient(planned), seen)
    log = read_detail(tmp_path / "mlperf_log_detail.txt")
    assert log.valid, log
    assert log.values["effective_qsl_rng_seed"] == 6655344265603136530
    assert log.values["effective_sample_index_rng_seed"] == 15863379492028895792
    assert log.values["effective_schedule_rng_seed"] == 12662793979680847247
    assert log.values["requested_min_query_count"] == queries
    assert log.values["effective_performance_sample_count"] == 64
    assert len(set(log.values["loaded_qsl_set"])) == 64  # MultiStream pads it with repetitions
    assert sum(finished.samples_per_session.values()) >= queries
    assert {p.phase for p in seen} >= {"running"}
    assert not multiprocessing.active_children()


def test_running_percentiles_and_stage_times_are_loadgens(tmp_path: Path) -> None:
    """Those of the samples' records, in buckets of 0.8 %, at LoadGen's indices; its own moments are others."""
    seen: list[Progress] = []
    planned = plan(tmp_path, "single_stream", queries=200, backend=simulated(latency_ms=5))
    run(planned, seen)
    figures = Meter(planned).read(seen[-1])
    log = read_detail(tmp_path / "mlperf_log_detail.txt")
    assert figures.done == log.values["result_query_count"] >= 200
    samples = pd.read_csv(tmp_path / "samples.csv.gz")
    own_ms = np.sort((samples["completed_ns"] - samples["issued_ns"]).to_numpy() / 1e6)
    for name, percentile in (("p50", 50), ("p90", 90), ("p99", 99)):
        assert figures.latency_ms[name] == pytest.approx(own_ms[len(own_ms) * percentile // 100], rel=0.01)
    total_ms = sum(figures.stages_ms.values())
    assert total_ms == pytest.approx(own_ms.mean(), rel=1e-6)
    # LoadGen notes the issue before we do, and the answer after it was decoded
    assert total_ms - figures.stages_ms["complete"] <= log.milliseconds("result_mean_latency_ns")
    assert figures.devices[0].samples == figures.done
    assert figures.waiting == 0


def test_loadgens_errors_and_warnings_are_told_while_they_come(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    tail = WarningTail(log)
    assert tail.new() == []
    entry = ':::MLLOG {"key": "%s", "value": "%s", "metadata": {"is_error": %s, "is_warning": %s}}'
    log.write_text(entry % ("fine", "v", "false", "false") + "\n" + (entry % ("odd", "v", "false", "true"))[:40])
    assert tail.new() == []
    with log.open("a") as file:
        file.write((entry % ("odd", "v", "false", "true"))[40:] + "\nnot JSON is_error\n")
        file.write(entry % ("bad", "w", "true", "false") + "\n")
    assert tail.new() == ["LoadGen warning: odd: v", "LoadGen error: bad: w"]
    assert tail.new() == []


def test_lengths_are_calibrated_when_not_given(tmp_path: Path) -> None:
    finished = run(plan(tmp_path, "single_stream"))
    assert finished.latency_s >= 0.001
    log = read_detail(tmp_path / "mlperf_log_detail.txt")
    if finished.latency_s < 0.0015:  # else other work disturbed the calibration
        assert log.valid
    expected_ms = log.values["requested_single_stream_expected_latency_ns"] / 1e6
    assert expected_ms == pytest.approx(finished.latency_s * 1e3 / 1.5, rel=1e-3)


@pytest.mark.parametrize(("at", "when"), [(2, "calibration"), (4, "warm-up")])
@pytest.mark.parametrize("scenario", ["offline", "single_stream"])
def test_a_failure_before_the_first_query_names_device_and_sample(
    tmp_path: Path, scenario: Scenario, at: int, when: str
) -> None:
    backend = simulated(warmup=3, latency_ms=1, fault={"kind": "error", "at": at, "device": 0})
    with pytest.raises(SampleFailed, match=r"sample \d+ \(\d+\.jpg\) on dev#0 in .*: RuntimeError: inference failed"):
        run(plan(tmp_path, scenario, backend=backend))


@pytest.mark.parametrize(("at", "when"), [(2, "calibration"), (4, "warm-up")])
def test_a_device_that_fails_before_the_first_query_is_retired_where_that_is_wanted(
    tmp_path: Path, at: int, when: str
) -> None:
    fault = {"kind": "death", "at": at, "device": 0}
    backend = simulated(warmup=3, on_device_failure="continue", latency_ms=1, fault=fault)
    finished = run(plan(tmp_path, backend=backend))
    assert [gone.session for gone in finished.retired] == ["dev#0"]
    assert finished.samples_per_session["dev#0"] == 0
    assert sum(finished.samples_per_session.values()) >= 100


def six_seconds(test: Plan) -> Plan:
    """Long enough for its rate to be calibrated by a burst."""
    return dataclasses.replace(test, rules=test.rules.model_copy(update={"min_duration_s": 6.0}))


@pytest.mark.slow
def test_the_rate_of_fast_devices_is_calibrated_through_the_queue(tmp_path: Path) -> None:
    """The fastest runs of 16 devices of no latency, summed, promise some twenty times what they do together."""
    run(six_seconds(plan(tmp_path, devices="npu*16", backend=simulated(latency_ms=0))))
    log = read_detail(tmp_path / "mlperf_log_detail.txt")
    expected, reached = (log.values[key] for key in ("requested_offline_expected_qps", "result_samples_per_second"))
    assert reached / 8 < expected < 8 * reached


def test_a_device_that_fails_in_a_burst_ends_the_test(tmp_path: Path) -> None:
    fault = {"kind": "death", "at": 10}  # calibration's three runs were well
    with pytest.raises(SampleFailed, match=r"on npu#\d in Offline performance: RuntimeError: device lost"):
        run(six_seconds(plan(tmp_path, devices="npu*2", backend=simulated(latency_ms=0, fault=fault))))


@pytest.mark.slow
def test_a_device_that_fails_in_a_burst_is_retired_by_the_test_where_that_is_wanted(tmp_path: Path) -> None:
    dying = {"kind": "death", "at": 10, "device": 1}
    backend = simulated(on_device_failure="continue", latency_ms=1, fault=dying)
    finished = run(six_seconds(plan(tmp_path, devices="npu*2", backend=backend)))
    assert [gone.session for gone in finished.retired] == ["npu#1"]
    assert any("npu#1 failed while the rate was calibrated" in warning for warning in finished.warnings)


def test_an_accuracy_test_asks_for_every_sample_once_and_loads_64_at_a_time(tmp_path: Path) -> None:
    run(plan(tmp_path, mode="accuracy"))
    records = json.loads((tmp_path / "mlperf_log_accuracy.json").read_text())
    assert sorted(record["qsl_idx"] for record in records) == list(range(100))
    one = records[0]
    # qsl_idx, ymin, xmin, ymax, xmax, score, class: see the tiny model
    expected = [one["qsl_idx"], 0.25, 0.25, 0.75, 0.75, 0.5, 1.0]
    assert np.frombuffer(bytes.fromhex(one["data"]), "<f4").tolist() == expected
    assert not read_detail(tmp_path / "mlperf_log_detail.txt").errors


def test_a_failing_sample_ends_the_test_with_its_image_and_its_device(tmp_path: Path) -> None:
    with pytest.raises(SampleFailed) as caught:
        run(plan(tmp_path, options={"fault": "error", "at": 20}, devices="npu"))
    text = str(caught.value)
    assert "RuntimeError: device lost" in text
    assert ".jpg) on npu#0 in Offline performance" in text


def test_a_hanging_device_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stalled, match=r"no sign of life for 60 s while running \(npu#0 at sample \d+ \(\d+\.jpg\)\)"):
        run_to_a_stall(plan(tmp_path, options={"fault": "hang", "at": 20}, devices="npu"), monkeypatch, 0)


def test_a_server_far_above_capacity_says_so_and_ends_early_with_what_was_reached(tmp_path: Path) -> None:
    lengths = ScenarioSettings(target_qps=3000)
    planned = plan(tmp_path, "server", queries=9000, backend=simulated(latency_ms=5), scenario_settings=lengths)
    told: list[str] = []

    def interrupted(progress: Progress) -> None:
        told.extend(text for text in progress.warnings if "Ctrl-C" in text)
        if told:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"Server performance had answered [\d.]+ queries/s") as caught:
        run_test(planned, interrupted, watchdog_s=20, startup_s=30, poll_s=0.05)
    assert "queries/s are answered, fewer than are asked for" in told[0]
    assert 10 < float(str(caught.value).split()[4]) <= 400


@pytest.mark.parametrize(("at", "said"), [(2, "90 s while calibrating"), (5, "60 s while running")])
def test_a_device_that_hangs_before_the_test_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, said: str
) -> None:
    backend = simulated(warmup=2, latency_ms=1, fault={"kind": "hang", "at": at, "device": 1})
    with pytest.raises(Stalled, match=rf"no sign of life for {said} \(dev#1 at a run before the test\)"):
        run_to_a_stall(plan(tmp_path, backend=backend), monkeypatch, 1)


def test_a_session_that_does_not_open_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stalled, match=r"for 90 s while opening sessions \(opening dev#0; opening dev#1\)"):
        run_to_a_stall(plan(tmp_path, options={"fault": "slow open"}), monkeypatch, 0, 1)


@pytest.mark.parametrize("scenario", ["offline", "server", "multi_stream"])
def test_a_device_that_dies_is_retired_and_no_sample_is_lost(tmp_path: Path, scenario: Scenario) -> None:
    dying = {"kind": "death", "at": 103, "device": 1}  # its hundredth sample
    backend = simulated(on_device_failure="continue", latency_ms=0.5, fault=dying)
    lengths = ScenarioSettings(target_qps=1000, expected_qps=6000)
    planned = plan(tmp_path, scenario, queries=1000, devices="npu*3", backend=backend, scenario_settings=lengths)
    finished = run(patient(planned))
    log = read_detail(tmp_path / "mlperf_log_detail.txt")
    assert log.valid, log
    [gone] = finished.retired
    assert (gone.session, gone.reason) == ("npu#1", "RuntimeError: device lost")
    assert gone.image == f"{gone.sample_index:03d}.jpg"
    assert finished.samples_per_session["npu#1"] == 99
    each = 8 if scenario == "multi_stream" else 1
    asked = log.values["result_query_count"] * each if scenario != "offline" else 1000
    assert sum(finished.samples_per_session.values()) >= asked


def test_an_accuracy_test_loses_no_sample_either(tmp_path: Path) -> None:
    backend = simulated(
        on_device_failure="continue", latency_ms=1, fault={"kind": "error", "at": 20, "device": 0}, quantized=False
    )
    finished = run(plan(tmp_path, mode="accuracy", backend=backend))
    assert len(finished.retired) == 1
    records = json.loads((tmp_path / "mlperf_log_accuracy.json").read_text())
    assert sorted(record["qsl_idx"] for record in records) == list(range(100))


def test_a_device_that_hangs_is_retired_within_the_watchdogs_time(tmp_path: Path) -> None:
    backend = simulated(on_device_failure="continue", latency_ms=1, fault={"kind": "hang", "at": 20, "device": 0})
    finished = run(plan(tmp_path, backend=backend, watchdog_s=2, queries=300))
    [gone] = finished.retired
    assert (gone.session, gone.reason) == ("dev#0", "no answer for 2 s")
    assert read_detail(tmp_path / "mlperf_log_detail.txt").values["result_query_count"] == 1
    assert sum(finished.samples_per_session.values()) >= 300


def test_the_last_devices_death_fails_the_run(tmp_path: Path) -> None:
    backend = simulated(on_device_failure="continue", latency_ms=1, fault={"kind": "death", "at": 20})
    with pytest.raises(SampleFailed, match=r"\.jpg\) on dev#[01] in Offline performance: RuntimeError: device lost"):
        run(plan(tmp_path, backend=backend))


def test_one_hanging_device_stops_the_run_although_the_others_go_on(tmp_path: Path) -> None:
    backend = simulated(latency_ms=1, fault={"kind": "hang", "at": 20, "device": 1})
    lengths = ScenarioSettings(expected_qps=2000)
    long = plan(tmp_path, queries=100_000, backend=backend, scenario_settings=lengths)
    with pytest.raises(Stalled, match=r"no sign of life for 2 s while running \(dev#1 at sample \d+ \(\d+\.jpg\)\)"):
        run(long, watchdog_s=2)


def test_a_failing_device_stops_the_run_by_default(tmp_path: Path) -> None:
    backend = simulated(latency_ms=5, fault={"kind": "death", "at": 53, "device": 1})
    with pytest.raises(SampleFailed, match=r"sample \d+ \(\d+\.jpg\) on dev#1 in Offline performance"):
        run(plan(tmp_path, queries=1000, backend=backend))
    assert "result_query_count" not in (tmp_path / "mlperf_log_detail.txt").read_text()  # it did not go on


def test_nan_outputs_fail_the_run_with_the_sample(tmp_path: Path) -> None:
    backend = simulated(latency_ms=1, quantized=False, fault={"kind": "nan", "at": 20, "device": 0})
    with pytest.raises(SampleFailed, match=r"on dev#0 .*: ValueError: output 0 has NaN or infinity in it"):
        run(plan(tmp_path, backend=backend))


def test_a_slow_device_costs_its_own_share_only(tmp_path: Path) -> None:
    backend = simulated(latency_ms=10, fault={"kind": "slow", "at": 1, "factor": 20, "device": 3})
    finished = run(plan(tmp_path, queries=700, devices="npu*8", backend=backend))
    counts = finished.samples_per_session
    slow = counts.pop("npu#3")
    assert min(counts.values()) > 5 * slow
    assert max(counts.values()) < 2 * min(counts.values())


def test_memory_stays_flat_over_50_000_samples(tmp_path: Path) -> None:
    sizes: list[tuple[int, int]] = []

    def see(progress: Progress) -> None:
        for child in multiprocessing.active_children():
            pages = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
            if progress.phase == "running" and progress.done:
                sizes.append((progress.done, pages))

    backend = simulated(latency_ms=2)
    lengths = ScenarioSettings(expected_qps=1)
    # a quarter of what a real run's samples take; a record is 56 bytes, and LoadGen keeps some 30 of its own
    source = Source(copies=5600)
    planned = plan(
        tmp_path, queries=50_000, devices="npu*32", backend=backend, scenario_settings=lengths, source=source
    )
    run_test(planned, see, watchdog_s=20, startup_s=30, poll_s=0.02)
    done, pages = zip(*sizes, strict=True)
    assert done[0] < 10_000
    assert done[-1] >= 50_000
    assert max(pages) < 1.05 * pages[0]


def test_a_session_that_never_opens_is_ended(tmp_path: Path) -> None:
    with pytest.raises(Stalled, match="while opening sessions"):
        run(plan(tmp_path, options={"fault": "slow open"}), startup_s=1)


def test_a_crash_shows_the_childs_last_words(tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as caught:
        run(plan(tmp_path, options={"fault": "crash"}))
    assert "the test's process died (signal 11)" in str(caught.value)
    assert "last words" in str(caught.value)


def test_a_child_that_exits_is_not_taken_for_done(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"died \(exit status 7\)"):
        run(plan(tmp_path, options={"fault": "exit"}))


@pytest.mark.parametrize(
    ("fault", "warning"),
    [
        ("close error", "a session could not be closed: OSError: the driver is busy"),
        ("close hang", "the sessions were not closed 1 s after the end of the test: the process was ended"),
        ("close crash", "the process died while it closed the sessions (signal 11), after the test"),
    ],
)
def test_a_finished_test_is_kept_whatever_closing_its_sessions_brings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, warning: str
) -> None:
    if fault == "close hang":
        monkeypatch.setattr("harness.loadgen.process.CLOSE_S", 1)
    finished = run(plan(tmp_path, options={"fault": fault}))
    assert sum(finished.samples_per_session.values()) >= 100
    assert warning in finished.warnings
    log = read_detail(tmp_path / "mlperf_log_detail.txt")
    assert not log.errors
    assert log.values["result_validity"] in ("VALID", "INVALID")


@dataclass(frozen=True)
class DeadlySource(Source):
    """Ends the process that reads it."""

    padding: bytes = bytes(1 << 20)

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (3,)


def test_a_child_that_dies_before_it_has_read_its_plan_is_a_death_at_once(tmp_path: Path) -> None:
    names = tuple(f"{k:012d}.jpg" for k in range(100_000))  # megabytes: no pipe holds them
    with pytest.raises(RunFailed, match=r"died \(exit status 3\)"):
        run(plan(tmp_path, source=DeadlySource(), sample_names=names), startup_s=200)


def test_an_error_of_the_backend_arrives_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="the driver is not loaded\n  next: load it"):
        run(plan(tmp_path, options={"fault": "open"}))


def test_a_tensor_that_cannot_be_loaded_ends_the_test(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="OSError: cache file is gone"):
        run(plan(tmp_path, mode="accuracy", source=Source(broken=70)))


def test_nothing_is_left_behind_when_the_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.integration.test_loadgen_test import plan, run\n"
        "if __name__ == '__main__':\n"
        "    run(plan(Path(sys.argv[1]), queries=100000, options={'fault': None}), watchdog_s=60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, script, tmp_path], env=os.environ | {"PYTHONPATH": str(root)})
    deadline = time.monotonic() + 120
    while not (children := _children(parent.pid)) or not (tmp_path / "mlperf_log_detail.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while any(_alive(pid) for pid in children):
        assert time.monotonic() < deadline, "a child outlived its parent"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
