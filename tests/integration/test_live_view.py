"""``ssd-harness run`` in a terminal in memory: what a person sees while it works, and what is left afterwards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.screen import Screen

ROOT = Path(__file__).resolve().parents[2]
QUERIES = 1800
PERCENT = re.compile(r"(\d+) %  .* left")


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A Server test of two seconds on two simulated devices."""
    given = f"""run smoke --mode performance --scenario server --output {tmp_path / "out"} --queries {QUERIES}
        --set model.name=tests.support.tiny_model:MODEL --set tests.server.target_qps=1000 --duration 0.1
        --set dataset.synthetic.images=8"""
    return [sys.executable, "-m", "harness", *given.split(), "--set", "backend.options={latency_ms: 1}"]


@pytest.fixture
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cache = str(tmp_path_factory.getbasetemp() / "cache")
    return {"SSD_HARNESS_CACHE": cache, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}


def under_way(text: str) -> bool:
    percent = PERCENT.search(text)
    return percent is not None and int(percent[1]) >= 30


def test_a_terminal_of_80_columns_shows_the_test_and_keeps_one_line_of_it(
    command: list[str], env: dict[str, str]
) -> None:
    with Screen(command, lines=50, env=env) as screen:
        assert screen.until(under_way), screen.text
        for expected in ("Server performance", "samples/s", "p50", "inference", "waiting", "simulated#1", "SIMULATED"):
            assert expected in screen.text
        assert screen.terminal.cursor.hidden
        frame = [line.rstrip() for line in screen.terminal.display if line.startswith(("╭", "│", "╰"))]
        assert {len(line) for line in frame} == {80}
        assert screen.until(lambda text: "Files:" in text), screen.text
        assert "✓ Server performance: done in" in screen.text
        assert "╭" not in screen.text
        assert not screen.terminal.cursor.hidden
        assert screen.process.wait(30) in (0, 1)  # a busy machine may be late for Server's bound


def test_ctrl_c_gives_the_cursor_back_and_says_how_to_go_on(
    command: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    with Screen([*command, "--queries", "30000"], env=env) as screen:  # half a minute
        assert screen.until(lambda text: PERCENT.search(text) is not None), screen.text
        screen.interrupt()
        assert screen.until(lambda text: "--resume" in text), screen.text
        assert "✗ Server performance: stopped in" in screen.text
        assert not screen.terminal.cursor.hidden
        assert "╭" not in screen.text
        assert screen.process.wait(30) == 130
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "failed"


def test_no_color_has_no_color(command: list[str], env: dict[str, str]) -> None:
    with Screen(command, env=env | {"NO_COLOR": "1"}) as screen:
        assert screen.until(under_way), screen.text
        colours = {
            screen.terminal.buffer[row][column].fg
            for row in range(screen.terminal.lines)
            for column in range(screen.terminal.columns)
        }
        assert colours == {"default"}


def test_no_live_on_a_terminal_is_lines(command: list[str], env: dict[str, str]) -> None:
    with Screen([*command, "--no-live"], env=env) as screen:
        assert screen.until(lambda text: "Server performance: done in" in text), screen.text
        assert "Server performance: calibrating" in screen.text
        assert "╭" not in screen.text


def of_program(command: list[str], env: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *more], env=env, capture_output=True, text=True, check=False, timeout=120)


def test_json_progress_is_one_event_a_line_from_start_to_end(command: list[str], env: dict[str, str]) -> None:
    done = of_program(command, env, "--json-progress")
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (events[0]["event"], events[0]["schema"]) == ("start", 1)
    assert events[-1]["event"] == "end"
    assert events[-1]["status"] == done.returncode
    assert json.loads(Path(events[-1]["summary"]).read_text())["schema"] == 1
    tests = [event for event in events if event["event"] == "test"]
    assert [tests[0]["state"], tests[-1]["state"], tests[-1]["done"]] == ["began", "done", QUERIES]
    assert any(event.get("samples_per_second") for event in tests)


def test_json_progress_ends_with_the_error_too(command: list[str], env: dict[str, str]) -> None:
    fault = "backend.options={latency_ms: 1, fault: {kind: error, at: 20}}"
    done = of_program(command, env, "--json-progress", "--set", fault)
    *events, _, _ = done.stderr.splitlines()  # after them comes the error for a person, of two lines
    end = json.loads(events[-1])
    assert (end["event"], end["status"], done.returncode) == ("end", 4, 4)
    assert "inference failed" in end["error"]
    assert "simulated#" in end["where"]
    assert "error: " in done.stderr.splitlines()[-2]


def test_quiet_has_results_and_errors_only(command: list[str], env: dict[str, str]) -> None:
    done = of_program(command, env, "--quiet")
    assert done.stderr == ""
    assert "Server" in done.stdout
    failed = of_program(command, env, "--quiet", "--count", "0")
    assert failed.stderr.startswith("error: ")
    assert failed.returncode == 2


def test_a_retired_session_is_told_when_it_happens(command: list[str], env: dict[str, str]) -> None:
    fault = "backend.options={latency_ms: 1, fault: {kind: death, at: 60, device: 1}}"
    # a fifth of what the other device can do: on a busy machine neither is it told that it cannot keep up
    easy = ("--queries", "300", "--set", "tests.server.target_qps=200")
    done = of_program(command, env, "--no-live", "--on-device-failure", "continue", "--set", fault, *easy)
    warnings = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(warnings) == 1, done.stderr
    assert re.fullmatch(
        r"Server performance: warning: simulated#1 was retired at sample \d+ \(\d+\.jpg\): RuntimeError: device lost",
        warnings[0],
    )
