"""The logs of one LoadGen test of anybody's, LoadGen 1.0 to 6: its figures, and why it is VALID or INVALID."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import LogError
from harness.loadgen.log import DETAIL_LOG, SUMMARY_LOG, DetailLog, read_detail
from harness.loadgen.summary_log import SummaryLog, read_summary
from harness.runs.verdict import duration_s, explain, explain_accuracy, images_run
from harness.scenarios import TITLES, Scenario

_RATES = {
    "result_samples_per_second": "samples/s",
    "result_scheduled_samples_per_sec": "scheduled samples/s",
    "result_completed_samples_per_sec": "completed samples/s",
}
_PERCENTILES = ("50.00", "90.00", "95.00", "99.00", "99.90")


@dataclass(frozen=True)
class LoggedTest:
    """One test as its logs show it.

    Attributes:
        scenario: ours; None for one that LoadGen no longer has.
        title: LoadGen's name of the scenario.
        reasons: why it is not VALID; empty when it is.
        figures: name → value, in the order in which people read them; latencies in milliseconds.
    """

    folder: Path
    scenario: Scenario | None
    title: str
    mode: str
    loadgen: str
    sut: str
    reasons: tuple[str, ...]
    figures: dict[str, float | int]

    @property
    def valid(self) -> bool:
        """LoadGen's verdict on a performance test, ours on an accuracy test."""
        return not self.reasons


def is_log_folder(folder: Path) -> bool:
    """Whether a folder holds LoadGen's logs of one test."""
    return (folder / DETAIL_LOG).is_file() or (folder / SUMMARY_LOG).is_file()


def read_logged_test(folder: Path) -> LoggedTest:
    """Reads LoadGen's logs of one test.

    Raises:
        LogError: a log is missing or damaged, or of LoadGen 0.7, whose logs have another form.
    """
    detail, summary = read_detail(folder / DETAIL_LOG), read_summary(folder / SUMMARY_LOG)
    if "effective_scenario" not in detail.values:
        first = detail.other[0][1] if detail.other else ""
        what = "has no settings: it is no whole detail log"
        if first and not detail.values:
            what = f"has no line of :::MLLOG: a log of LoadGen 0.7 or before, or none, its first line {first[:60]!r}"
        hint = "logs of LoadGen 1.0 and later can be read"
        raise LogError(what, where=str(folder / DETAIL_LOG), hint=hint)
    values = detail.values
    title = str(values["effective_scenario"])
    scenario = next((name for name, known in TITLES.items() if known == title), None)
    mode = str(values.get("effective_test_mode"))
    reasons = explain_accuracy(detail) if mode == "AccuracyOnly" else explain(detail, scenario or "multi_stream")
    return LoggedTest(
        folder=folder,
        scenario=scenario,
        title=title,
        mode=mode,
        loadgen=str(values.get("loadgen_version")),
        sut=str(values.get("sut_name")).rstrip("\0"),
        reasons=tuple(reasons),
        figures=_figures(detail, summary),
    )


def _figures(detail: DetailLog, summary: SummaryLog) -> dict[str, float | int]:
    values = detail.values
    figures: dict[str, float | int] = {}

    def add(name: str, value: Any, scale: float = 1) -> None:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            figures[name] = value / scale if scale != 1 else value

    for key, name in _RATES.items():
        add(name, values.get(key))
    for which in ("min", "mean", *_PERCENTILES, "max"):
        name = f"p{float(which):g}" if which in _PERCENTILES else which
        middle = "percentile_" if which in _PERCENTILES else ""
        per_query = values.get(f"result_{which}_{middle}{'per_' if middle else ''}query_latency_ns")
        add(f"latency {name}, ms", values.get(f"result_{which}_{middle}latency_ns", per_query), 1e6)
    for key in ("early_stopping_latency_ss", "early_stopping_latency_ms"):
        add(f"{key.removesuffix('_ss').removesuffix('_ms')}, ms", values.get(key) or None, 1e6)
    add("queries", values.get("result_query_count"))
    took_s = duration_s(values)
    add("duration, s", took_s)
    if values.get("effective_test_mode") == "AccuracyOnly":
        figures["images"] = images_run(detail)
    add("errors", len(detail.errors) or None)
    add("warnings", summary.warnings or None)
    return figures
