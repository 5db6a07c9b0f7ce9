"""Run directories made up for tests: real in form, with times drawn from a seed."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MLLOG = ":::MLLOG "


def made_samples(
    count: int,
    *,
    latency_ms: float = 5.0,
    noise: float = 0.02,
    sessions: int = 1,
    seed: int = 0,
    offline: bool = False,
    per_query: int = 1,
) -> npt.NDArray[np.int64]:
    """(count, 8) int64 in the columns of samples.csv.gz: sessions whose inferences are normally distributed."""
    rng = np.random.default_rng(seed)
    inference = (rng.normal(latency_ms, noise * latency_ms, count).clip(min=latency_ms / 10) * 1e6).astype(np.int64)
    free = np.zeros(sessions, np.int64)
    rows = np.empty((count, 8), np.int64)
    issued = 0
    for k in range(count):
        if not offline and k % per_query == 0:
            issued = int(free.max())
        session = int(free.argmin())
        started = max(int(free[session]), issued) + 2_000
        inferred = started + int(inference[k])
        decoded = inferred + 150_000
        completed = decoded + 10_000
        rows[k] = session, 1000 + k, k % 7, 0 if offline else issued, started, inferred, decoded, completed
        free[session] = completed
    return rows


def made_run(
    folder: Path,
    scenarios: dict[str, npt.NDArray[np.int64]],
    *,
    repeats: dict[str, list[npt.NDArray[np.int64]]] | None = None,
    valid: bool = True,
    **manifest: Any,
) -> Path:
    """A finished performance run of these samples on a simulated device; ``manifest`` replaces parts of its own."""
    folder.mkdir(parents=True)
    tests = []
    for scenario, first in scenarios.items():
        for number, rows in enumerate([first, *(repeats or {}).get(scenario, [])], 1):
            where = folder / scenario / "performance" / f"run_{number}"
            where.mkdir(parents=True)
            tests.append(_write_test(where, scenario, number, rows, valid))
    (folder / "manifest.json").write_text(json.dumps(made_manifest(tests=tests) | manifest), encoding="utf-8")
    return folder


def made_manifest(**parts: Any) -> dict[str, Any]:
    """The manifest of a complete run without tests; ``parts`` replace parts of it."""
    return {
        "schema": 1,
        "status": "complete",
        "started": "2026-11-24T10:00:00+00:00",
        "command": ["ssd-harness", "run"],
        "settings": {"name": "made", "model": {"decoder": "native"}, "backend": {"warmup": 1}},
        "round": "v2.0",
        "versions": {"ssd-harness": "0.1.0", "numpy": "2.0.0"},
        "system": {"processor": "made", "cpus": 2},
        "model": {"name": "ssd_resnet34", "benchmark": "ssd-resnet34", "path": None, "sha256": None, "default": True},
        "dataset": {"annotations": "a.json", "images_dir": "i", "sha256": "ab" * 32, "images": 64, "synthetic": True},
        "backend": {"name": "simulated", "simulated": True, "options": {"latency_ms": 5}},
        "tests": [],
        "reason": None,
        "ended": "2026-11-24T10:01:00+00:00",
    } | parts


def _write_test(where: Path, scenario: str, number: int, rows: npt.NDArray[np.int64], valid: bool) -> dict[str, Any]:
    columns = "session,sample_id,sample_index,issued_ns,started_ns,inferred_ns,decoded_ns,completed_ns"
    with gzip.open(where / "samples.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns.split(","))
        writer.writerows(rows.tolist())
    values: dict[str, Any] = {"result_validity": "VALID" if valid else "INVALID", "result_query_count": len(rows)}
    if scenario == "offline":
        values["result_samples_per_second"] = len(rows) / (rows[:, 7].max() / 1e9)
    else:
        latency = rows[:, 7] - rows[:, 3]
        if scenario == "multi_stream":
            latency = np.array([latency[rows[:, 3] == moment].max() for moment in np.unique(rows[:, 3])])
        latency = np.sort(latency)
        values["result_mean_latency_ns"] = int(latency.mean())
        for percent in (50, 90, 95, 97, 99, 99.9):
            at = min(int(len(latency) * percent / 100), len(latency) - 1)
            values[f"result_{percent:.2f}_percentile_latency_ns"] = int(latency[at])
    if scenario == "server":
        values["result_scheduled_samples_per_sec"] = 100.0
    if not valid:
        values |= {
            "result_min_duration_met": False,
            "requested_min_duration_ms": 600000,
            "requested_offline_expected_qps": 100.0,
        }
    entries = [{"key": key, "value": value, "metadata": {}} for key, value in values.items()]
    text = "".join(MLLOG + json.dumps(entry) + "\n" for entry in entries)
    (where / "mlperf_log_detail.txt").write_text(text, encoding="utf-8")
    percentile = {"single_stream": 0.9, "multi_stream": 0.99, "server": 0.99}.get(scenario)
    sessions = [{"name": f"simulated#{k}"} for k in range(int(rows[:, 0].max()) + 1)]
    rules = {"min_duration_s": 1, "min_queries": 64, "latency_percentile": percentile, "latency_ms": 100}
    return made_record(scenario, "performance", number=number, rules=rules, sessions=sessions)


def made_record(scenario: str, mode: str, **parts: Any) -> dict[str, Any]:
    """The record of a test; ``parts`` replace parts of it."""
    return {
        "scenario": scenario,
        "mode": mode,
        "number": 1,
        "rules": {"min_duration_s": 1.0, "min_queries": 64},
        "performance_sample_count": 64,
        "sessions": [{"name": "simulated#0"}],
        "retired": [],
    } | parts


def made_summary(**parts: Any) -> dict[str, Any]:
    """The summary of a valid run without tests; ``parts`` replace parts of it."""
    manifest = made_manifest()
    return {
        "schema": 1,
        "status": "complete",
        "round": manifest["round"],
        "valid": True,
        "submittable": True,
        "not_submittable_because": [],
        **{part: manifest[part] for part in ("backend", "model", "dataset")},
        "scenarios": {},
    } | parts
