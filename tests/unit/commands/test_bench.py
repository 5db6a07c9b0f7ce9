"""``ssd-harness bench``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from harness.commands import bench, bench_preprocess
from harness.dataset.preprocess_bench import PreprocessBench, bench_preprocessing
from harness.errors import UsageError


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
        assert timing["cold_ms"] > 0
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


def test_bench_preprocess_gives_every_step_and_the_rate_of_the_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path))
    arguments = ("preprocess", "--count", "64", "--rounds", "2", "--workers", "2")
    assert bench.run(parsed(*arguments, "--json")) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["images"], measured["workers"]) == (64, 2)
    assert all(measured[step] > 0 for step in ("read_ms", "tensor_ms", "write_ms", "load_ms"))
    rates = measured["rounds_per_second"]
    assert len(rates) == 2
    assert min(rates) <= measured["images_per_second"] <= max(rates)
    same = PreprocessBench(**measured | {"rounds_per_second": tuple(rates)})
    monkeypatch.setattr(bench_preprocess, "bench_preprocessing", lambda *given, **options: same)
    assert bench.run(parsed(*arguments)) == 0
    assert "2 worker processes" in capsys.readouterr().out


def test_bench_preprocess_needs_images_enough_for_the_pool(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="10 images; at least 64 are needed"):
        bench_preprocessing([tmp_path] * 10, bytes, (3, 4, 4), progress=lambda made, total: None)  # type: ignore[arg-type]
