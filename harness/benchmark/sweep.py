"""A sweep: one run for each combination of a grid of settings, side by side in one folder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, JsonValue

from harness.benchmark.benchmark import run_benchmark
from harness.errors import HarnessError, Interrupted, UsageError
from harness.runs.directory import alone_in, holds_run
from harness.runs.documents import SCHEMA, Document, read_document, write_document
from harness.settings import RunSettings
from harness.terminal import Terminal

SWEEP_NAME = "sweep.json"

SHORT_KEYS = {
    "backend": "backend.name",
    "devices": "backend.devices",
    "threads": "backend.threads",
    "options": "backend.options",
    "model": "model.path",
    "precision": "model.precision",
    "decoder": "model.decoder",
}
"""What a grid may call a key → the key of the configuration."""

Grid = Mapping[str, Sequence[JsonValue]]
"""Configuration key → the values that it takes in turn; at least one each."""


class SweptRun(Document):
    """One combination of a sweep: its values by configuration key, and the folder of its run beside ``sweep.json``."""

    values: dict[str, JsonValue]
    folder: str
    status: Literal["waiting", "complete", "failed"] = "waiting"
    reason: str | None = None


class Sweep(Document):
    """``sweep.json``: the grid, the settings that all its runs share, and how far it came."""

    schema_: int = Field(SCHEMA, alias="schema")
    grid: dict[str, list[JsonValue]]
    settings: dict[str, JsonValue]
    runs: tuple[SweptRun, ...]


@dataclass(frozen=True)
class Combination:
    """The values of one run of a sweep, and its settings."""

    values: dict[str, JsonValue]
    settings: RunSettings


def parse_axis(text: str) -> tuple[str, list[JsonValue]]:
    """``KEY=VALUE,VALUE,…`` of ``--grid``; the values are those of a YAML list without its brackets.

    Raises:
        UsageError: it is not of that form, or names no value.
    """
    key, equals, values = text.partition("=")
    key = key.strip()
    try:
        parsed = yaml.safe_load(f"[{values}]") if equals and key else None
    except yaml.YAMLError:
        parsed = None
    if not parsed:
        hint = "e.g. --grid threads=1,2 or --grid 'devices=cpu,cpu*2'"
        raise UsageError(f"expected KEY=VALUE,VALUE, found {text!r}", where="--grid", hint=hint)
    return SHORT_KEYS.get(key, key), parsed


def combinations(grid: Grid) -> list[dict[str, JsonValue]]:
    """Every combination of the grid's values, the last key changing fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def run_sweep(grid: Grid, runs: Sequence[Combination], shared: RunSettings, folder: Path, terminal: Terminal) -> Sweep:
    """Makes every run that is not finished, and records each in ``sweep.json`` as it ends.

    A combination that fails costs itself only. A sweep that is there goes on: finished tests are kept.

    Args:
        grid: what the combinations were made of.
        runs: in their order; of each, run ``N`` lies in ``run_N``.
        shared: the settings without the grid.
        folder: of the sweep.
        terminal: told of every run.

    Raises:
        UsageError: the folder holds something else, or a sweep of another grid or other settings.
        Interrupted: on Ctrl-C; the same command goes on.
    """
    sweep = _opened(grid, runs, shared, folder)
    with alone_in(folder):
        for number, run in enumerate(runs):
            record = sweep.runs[number]
            shown = ", ".join(f"{key} {value}" for key, value in described(run.values).items())
            terminal.say(f"Run {number + 1} of {len(runs)}: {shown}")
            sweep = _with_run(sweep, number, _run(run, record, folder, terminal))
            write_document(folder / SWEEP_NAME, sweep)
    return sweep


def _opened(grid: Grid, runs: Sequence[Combination], shared: RunSettings, folder: Path) -> Sweep:
    """The sweep that is in the folder, or a new one written there."""
    path = folder / SWEEP_NAME
    fresh = Sweep(
        schema=SCHEMA,
        grid={key: list(values) for key, values in grid.items()},
        settings=shared.model_dump(mode="json"),
        runs=tuple(SweptRun(values=run.values, folder=f"run_{k}") for k, run in enumerate(runs, 1)),
    )
    if path.is_file():
        there = read_document(Sweep, path)
        if (there.grid, there.settings) != (fresh.grid, fresh.settings):
            text = "holds a sweep of another grid or of other settings"
            raise UsageError(text, where=str(folder), hint="give another --output")
        return there
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("exists and is not a sweep", where=str(folder), hint="give another --output")
    folder.mkdir(parents=True, exist_ok=True)
    write_document(path, fresh)
    return fresh


def _run(run: Combination, record: SweptRun, folder: Path, terminal: Terminal) -> SweptRun:
    target = folder / record.folder
    try:
        run_benchmark(run.settings, target, terminal, resume=holds_run(target))
    except Interrupted as error:
        hint = f"the same command with --output {folder} goes on with what is not finished"
        raise Interrupted(error.what, where=str(folder), hint=hint) from None
    except HarnessError as error:
        terminal.say(f"failed: {error.what}")
        return record.model_copy(update={"status": "failed", "reason": error.what})
    return record.model_copy(update={"status": "complete", "reason": None})


def _with_run(sweep: Sweep, number: int, run: SweptRun) -> Sweep:
    runs = (*sweep.runs[:number], run, *sweep.runs[number + 1 :])
    return sweep.model_copy(update={"runs": runs})


def described(values: Mapping[str, Any]) -> dict[str, str]:
    """The values of a combination for people, by the short names of their keys."""
    short = {long: name for name, long in SHORT_KEYS.items()}
    return {short.get(key, key): "default" if value is None else str(value) for key, value in values.items()}
