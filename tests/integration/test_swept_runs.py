"""``ssd-harness sweep``: real LoadGen tests of every combination, ranked, and resumed where it was broken off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main

# so slow that the order is theirs on a busy machine too
GRID = ("--grid", "options={latency_ms: 20},{latency_ms: 80}", "--grid", "devices=simulated,simulated*2")
SHORT = ("--scenario", "offline", "--duration", "0", "--queries", "40", "--quiet")


def sweep(folder: Path, *more: str) -> int:
    return main(["sweep", "smoke", *GRID, *SHORT, "--output", str(folder), *more])


@pytest.mark.slow
def test_combinations_are_ranked_and_a_second_sweep_keeps_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep"
    assert sweep(folder) == 0

    printed = capsys.readouterr().out
    places = [printed.index(f"run_{number} ") for number in (2, 1, 4, 3)]
    assert places[0] < min(places[1:])  # 20 ms on two devices
    assert places[3] > max(places[:3])  # 80 ms on one
    assert "SIMULATED device" in printed
    page = (folder / "sweep.html").read_text(encoding="utf-8")
    assert "Blue: not worse than the best by more than noise" in page

    log = folder / "run_1" / "offline" / "performance" / "run_1" / "mlperf_log_detail.txt"
    before = log.read_bytes()
    document = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    (folder / "run_4" / "offline" / "performance" / "run_1" / "test.json").unlink()

    assert sweep(folder) == 0

    assert log.read_bytes() == before
    assert (folder / "run_4" / "offline" / "performance" / "run_1" / "test.json").is_file()
    assert [run["status"] for run in document["runs"]] == ["complete"] * 4


def test_a_folder_with_another_grid_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sweep.json").write_text('{"schema": 1, "grid": {"a": [1]}, "settings": {}, "runs": []}', "utf-8")

    assert sweep(folder) == 2

    assert "another grid" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["sweep.json"]


def test_a_combination_that_fails_costs_itself_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fault = "{fault: {kind: error, at: 3}}"
    grid = ("--grid", f"options={fault},{{latency_ms: 2}}")

    status = main(["sweep", "smoke", *grid, *SHORT, "--output", str(tmp_path / "sweep")])

    assert status == 4
    printed = capsys.readouterr().out
    assert "1 combination failed" in printed
    assert "best" in printed
