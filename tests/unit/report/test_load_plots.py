"""What is drawn over the time of a test says what its samples say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.report.latency_plots import latency_plots
from harness.report.load_plots import load_plots
from harness.report.plot import Plot
from harness.runs.machine_load import write_machine_load
from harness.runs.recorded_run import Test, load_run
from tests.support.made_runs import made_run, made_samples


def server(folder: Path, **options: float) -> Test:
    """A Server test of two sessions with the bound of 100 ms."""
    samples = made_samples(3000, sessions=2, **options)  # type: ignore[arg-type]
    return load_run(made_run(folder, {"server": samples})).test("server")


def by_key(plots: list[Plot]) -> dict[str, Plot]:
    return {plot.key.partition("-")[2]: plot for plot in plots}


def test_a_bound_far_from_the_latencies_stands_at_the_edge(tmp_path: Path) -> None:
    test = server(tmp_path / "r")
    for plot in latency_plots(test, test.figures.latency_ms)[:3]:
        assert not any(shape["line"]["color"] == "#d0453a" for shape in plot.layout["shapes"])
        assert any("bound 100 ms" in label["text"] for label in plot.layout["annotations"]), plot.key
        assert "bound of 100 ms" in plot.note


def test_a_bound_near_the_latencies_is_a_line(tmp_path: Path) -> None:
    test = server(tmp_path / "r", latency_ms=80.0)
    for plot in latency_plots(test, test.figures.latency_ms)[:3]:
        red = [shape for shape in plot.layout["shapes"] if shape["line"]["color"] == "#d0453a"]
        assert 100.0 in (red[0]["x0"], red[0]["y0"])


def test_the_p99_over_time_is_drawn(tmp_path: Path) -> None:
    test = server(tmp_path / "r")
    plot = by_key(latency_plots(test, test.figures.latency_ms))["over-time"]
    late = next(trace for trace in plot.traces if trace.get("name") == "p99")
    assert len(late["y"]) == 30
    assert np.mean(late["y"]) == pytest.approx(test.figures.latency_ms["p99"], rel=0.02)


def test_server_shows_its_rates_its_queue_and_its_sessions(tmp_path: Path) -> None:
    test = server(tmp_path / "r")
    plots = by_key(load_plots(test))
    assert set(plots) == {"rates", "queue", "session-rates"}
    assert [trace["name"] for trace in plots["rates"].traces] == ["issued", "answered"]
    assert max(plots["queue"].traces[0]["y"]) <= 2
    heat = plots["session-rates"].traces[0]
    assert heat["y"] == ["simulated#1", "simulated#0"]
    whole = sum(float(row[1] or 0) for row in plots["session-rates"].rows)
    assert whole == pytest.approx(3000 / (test.samples["completed_ns"].max() / 1e9), rel=0.001)


def test_the_machine_is_drawn_where_it_was_looked_at(tmp_path: Path) -> None:
    test = server(tmp_path / "r")
    at = np.arange(-1, 10, 0.5)
    columns = {"at_s": at, "busy_s": 2 * at, "own_s": 1.5 * at, "frequency_mhz": float("nan")}
    write_machine_load(test.files.machine_load, pd.DataFrame(columns))
    plot = by_key(load_plots(test))["machine"]
    assert [trace["name"] for trace in plot.traces] == ["everything on the machine", "this run"]
    assert plot.traces[1]["y"] == pytest.approx([1.5] * len(plot.traces[1]["y"]))


def test_few_samples_have_no_frames_without_a_curve(tmp_path: Path) -> None:
    scenarios = {"server": made_samples(6, sessions=2), "offline": made_samples(6, sessions=2, offline=True)}
    run = load_run(made_run(tmp_path / "r", scenarios))
    test = run.test("server")
    assert [plot.key for plot in latency_plots(test, test.figures.latency_ms)] == ["server-stages"]
    assert load_plots(test) == []
    assert load_plots(run.test("offline")) == []
