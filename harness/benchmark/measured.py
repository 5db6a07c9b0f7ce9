"""``benchmark(...)``: a run for Python programs and notebooks, and what it measured as an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.accuracy.evaluate import percent_text
from harness.benchmark.benchmark import run_benchmark
from harness.benchmark.overrides import with_replaced_parts
from harness.report.summary_tables import summary_tables, validity
from harness.report.tables import Table, as_html
from harness.runs.directory import default_folder
from harness.runs.figures import AccuracyFigures, ScenarioFigures, Summary
from harness.runs.recorded_run import Run, load_run
from harness.runs.score import score_of
from harness.scenarios import TITLES, Scenario
from harness.settings import load_run as load_settings
from harness.terminal import Terminal


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """A finished run; a notebook shows it as tables.

    Attributes:
        folder: the run directory, with ``report.html``.
        summary: what ``summary.json`` holds.
    """

    folder: Path
    summary: Summary

    @property
    def valid(self) -> bool:
        """Whether every test is VALID."""
        return self.summary.valid

    @property
    def scenarios(self) -> Mapping[Scenario, ScenarioFigures]:
        """Scenario → its figures: ``score`` in ``score_unit``, ``latency_ms``, ``samples_per_second``, …."""
        return self.summary.scenarios

    @property
    def accuracy(self) -> AccuracyFigures | None:
        """COCO's figures in 0..1; None of a run without an accuracy test."""
        return self.summary.accuracy

    @cached_property
    def run(self) -> Run:
        """The run directory as pandas tables: samples, images, detections."""
        return load_run(self.folder)

    @property
    def tables(self) -> list[Table]:
        """The figures as tables: scenarios, tries of find-peak, accuracy, what keeps it from being submitted."""
        return summary_tables(self.folder.name, self.summary)

    def __repr__(self) -> str:
        parts = [validity(self.valid)]
        parts += [f"{TITLES[scenario]} {score_of(scenario, of).text}" for scenario, of in self.scenarios.items()]
        parts += [] if self.accuracy is None else [f"mAP {percent_text(self.accuracy.mAP)}"]
        parts += ["SIMULATED device"] if self.summary.backend.simulated else []
        return f"<BenchmarkResult {self.folder}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        return "".join(as_html(table) for table in self.tables)


def benchmark(
    config: str | Path = "demo",
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = True,
    **settings: Any,
) -> BenchmarkResult:
    """Makes a run, as ``ssd-harness run`` does, and gives what it measured.

    Tests run in processes of their own, which import the main module: a script calls this below
    ``if __name__ == "__main__":``, as with anything of `multiprocessing`; a notebook need not.

    Args:
        config: a YAML file, or the name of a shipped configuration.
        output: the run directory; none: ``results/<name>-<date>-<time>``.
        overwrite: replace the finished run that is there.
        resume: keep its finished tests.
        quiet: nothing is shown while it runs; else what the command shows.
        settings: keys of the configuration, as ``scenarios=["offline"]`` and ``backend={"devices": "cpu*2"}``: what a
            mapping names is laid over the file, and the rest of it stands.

    Raises:
        HarnessError: as the command's errors, with what to do next.
    """
    overrides = with_replaced_parts(Path(config), dict(_dotted(settings)))
    chosen = load_settings(Path(config), overrides)
    folder = default_folder(chosen.name) if output is None else Path(output)
    terminal = Terminal("quiet" if quiet else None)
    return BenchmarkResult(folder, run_benchmark(chosen, folder, terminal, resume=resume, overwrite=overwrite))


def _dotted(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted keys and their values; an empty mapping is a value."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value) if isinstance(value, Path) else value
