"""A running test as lines, as JSON lines, as a picture, and as nothing at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
import rich.live

from harness.live import display
from harness.live.display import line, shown
from harness.loadgen.messages import PhaseName
from harness.loadgen.plan import Plan
from harness.loadgen.process import Progress
from harness.pipeline.pulse import Pulse
from harness.terminal import Style, Terminal
from tests.unit.live.test_figures import Bench
from tests.unit.live.test_view import figures as some

Capture = pytest.CaptureFixture[str]


class Test:
    """A test of one device that answers a sample every 100 ms of a clock of its own, and is shown each time."""

    __test__ = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = Bench(monkeypatch, devices=1)
        monkeypatch.setattr(display, "monotonic", lambda: self.bench.now_ns / 1e9)
        self.plan = cast(
            Plan,
            SimpleNamespace(
                title="Server performance", scenario="server", slots=(SimpleNamespace(name="npu#0"),), cluster=None
            ),
        )

    def progress(self, phase: PhaseName, warnings: tuple[str, ...] = ()) -> Progress:
        pulse = self.bench.pulse
        return Progress(phase, pulse.done, 1000 if phase == "running" else None, 1.0, 0.0, pulse, warnings)

    def run(self, style: Style, answers: int = 250) -> Iterator[None]:
        with shown(self.plan, Terminal(style)) as show:
            show(self.progress("opening sessions"))
            show(self.progress("calibrating"))
            show(self.progress("running"))
            for _ in range(answers):
                self.bench.wait(100)
                self.bench.answer(0)
                show(self.progress("running", ("npu#0 is warm",)))
                yield


@pytest.fixture
def test(monkeypatch: pytest.MonkeyPatch) -> Test:
    return Test(monkeypatch)


def test_lines_come_every_ten_seconds_with_warnings_when_they_come(test: Test, capsys: Capture) -> None:
    list(test.run("lines"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        "Server performance ...",
        "Server performance: opening sessions",
        "Server performance: calibrating",
    ]
    assert lines[3] == "Server performance: warning: npu#0 is warm"
    assert len(lines) == 7  # 25 s: two lines, and the last one
    assert lines[4].startswith("Server performance: 100 of 1000 samples, 10.1/s, p50 ")
    assert lines[4].endswith(" left")
    assert lines[6] == "Server performance: done in 25 s, 250 samples"


def test_json_lines_come_every_second_and_end_with_how_it_ended(test: Test, capsys: Capture) -> None:
    list(test.run("json", answers=35))
    events: list[dict[str, Any]] = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert {event["event"] for event in events} == {"test"}
    assert (events[0]["state"], events[-1]["state"], events[-1]["done"]) == ("began", "done", 35)
    running = [event for event in events if event.get("phase") == "running" and event["done"]]
    assert [event["done"] for event in running] == pytest.approx([1, 11, 21, 31], abs=1)
    last = running[-1]
    assert last["warnings"] == ["npu#0 is warm"]
    assert last["devices"][0]["name"] == "npu#0"
    assert last["latency_ms"]["p50"] == pytest.approx(10, rel=0.008)
    assert set(last["stages_ms"]) == {"queue", "inference", "wait", "postprocess", "complete"}


def test_quiet_shows_nothing(test: Test, capsys: Capture) -> None:
    list(test.run("quiet"))
    terminal = Terminal("quiet")
    terminal.say("hello")
    with terminal.task("Preprocessing") as report:
        report(1, 2)
    shown_text = capsys.readouterr()
    assert shown_text.out == shown_text.err == ""


def test_a_test_that_fails_is_not_said_to_be_done(test: Test, capsys: Capture) -> None:
    with pytest.raises(OSError), shown(test.plan, Terminal("lines")):
        raise OSError
    with pytest.raises(OSError), shown(test.plan, Terminal("json")):
        raise OSError
    text = capsys.readouterr().err
    assert "Server performance: stopped in" in text
    assert json.loads(text.splitlines()[-1])["state"] == "stopped"


def test_other_tasks_are_json_lines_too(capsys: Capture) -> None:
    terminal = Terminal("json")
    with terminal.task("Preprocessing", "images") as report:
        report(0, 64, "decoding")
        report(1, 64, "decoding")
    terminal.say("kept")
    terminal.tell("end", status=0)
    began, running, done, said, end = (json.loads(text) for text in capsys.readouterr().err.splitlines())
    assert (began["task"], began["unit"], began["state"]) == ("Preprocessing", "images", "began")
    assert (running["state"], running["done"], running["total"], running["doing"]) == ("running", 0, 64, "decoding")
    assert (done["state"], done["done"]) == ("done", 1)
    assert (said["event"], said["text"]) == ("message", "kept")
    assert (end["event"], end["status"]) == ("end", 0)
    assert end["time"] > 1.7e9


def test_a_picture_is_drawn_four_times_a_second_at_most(
    test: Test, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    drawn: list[float] = []
    monkeypatch.setattr(rich.live.Live, "update", lambda self, view, refresh: drawn.append(test.bench.now_ns / 1e9))
    monkeypatch.setattr(display, "SHARE_OF_A_CORE", 1e9)
    list(test.run("live", answers=100))  # 10 s
    assert len(drawn) == 34  # every 100 ms there is something new, and every third is drawn
    assert min(later - earlier for earlier, later in pairwise(drawn)) >= 0.25
    assert "Server performance: done in 10 s, 100 samples" in capsys.readouterr().err


def test_a_picture_that_costs_much_is_drawn_less_often(
    test: Test, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    spent = iter(k * 0.005 for k in range(10**6))  # 5 ms a picture: twice a second at 1 % of a core
    monkeypatch.setattr(display, "thread_time", lambda: next(spent))
    drawn: list[int] = []
    monkeypatch.setattr(rich.live.Live, "update", lambda self, view, refresh: drawn.append(1))
    list(test.run("live", answers=100))
    assert len(drawn) in (20, 21)
    capsys.readouterr()


def test_a_line_has_the_running_figures() -> None:
    assert line(some(accuracy=(0.2131, 128))) == (
        "12345 of 20000 samples, 1,029/s, p50 5.14, p90 5.73, p99 51.6 ms, mAP so far 21.31 % on 128 images, 8.0 s left"
    )
    assert "ms of device time" in line(some(latency_from="start"))
    assert line(some(done=0)) == "waiting for the first answer for 12 s"


def test_a_pulse_of_many_sessions_is_read() -> None:
    assert Pulse(256).counters().stages_ns.shape == (256, 5)
