"""``ssd-harness bench``."""

from __future__ import annotations

import argparse
import json

import pytest

from harness.commands import bench


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return parser.parse_args(arguments)


def test_bench_postprocess_gives_every_postprocessor_on_every_scene(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run(parsed("postprocess", "--rounds", "1", "--threads", "2", "--json")) == 0
    measured = json.loads(capsys.readouterr().out)
    timings = measured["timings"]
    assert {t["scene"] for t in timings} == {"background", "typical", "crowded"}
    assert {"NumPy float32", "native float32", "native int8", "native int8, NPU layout"} <= {
        t["postprocessor"] for t in timings
    }
    for timing in timings:
        assert 0 < timing["median_ms"] <= timing["p99_ms"]
        assert timing["threads"] == 2
    assert measured["read_speed"]["decode_gb_per_s"] > 0


def test_the_table_says_what_share_of_the_read_speed_the_scan_reaches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert bench.run(parsed("postprocess", "--rounds", "1", "--threads", "1")) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "native int8, NPU layout" in printed
    assert "Reading the int8 class outputs (1.23 MB) does" in printed
