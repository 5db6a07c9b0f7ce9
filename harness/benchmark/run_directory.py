"""The folder of one run: who may write there, its manifest, and its tests that are already done."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.files import write_json
from harness.settings import SCENARIOS

SCHEMA = 1
FREE_BYTES = 256 << 20  # logs of a run are far below this; a disk with less is about to be full
MANIFEST = "manifest.json"
PEAK = "find_peak"  # the folder of its tries
OWN_FILES = (MANIFEST, "summary.json", "summary.csv", "report.html", "trace.json")


@dataclass
class RunDirectory:
    """``results/<name>/``.

    ``manifest.json`` says "running" from the first moment on; whatever ends the run, `finish` says how.
    """

    folder: Path
    manifest: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, folder: Path, manifest: dict[str, Any], *, resume: bool) -> RunDirectory:
        """Takes the folder: a new one, or one that holds a run, whose files are replaced (kept with ``resume``).

        Raises:
            UsageError: it exists and is not a run, or there is nothing to resume.
            DataError: it cannot be written, or the disk is nearly full.
        """
        holds_run = (folder / MANIFEST).is_file()
        if folder.exists() and not folder.is_dir():
            raise UsageError("is a file", where=str(folder), hint="give another --output")
        if folder.is_dir() and not holds_run and any(folder.iterdir()):
            raise UsageError("exists and is not a run", where=str(folder), hint="give another --output, or empty it")
        if resume and not holds_run:
            raise UsageError("nothing to resume here", where=str(folder), hint="give the --output of the run to resume")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free < FREE_BYTES:
                need, have = FREE_BYTES >> 20, free >> 20
                raise DataError(f"no space left: a run needs {need} MiB, {have} MiB are free", where=str(folder))
            if holds_run and not resume:
                _clear(folder)
            run = cls(folder, {"schema": SCHEMA, "status": "running", "started": _now(), **manifest})
            run.save()
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror}", where=str(folder), hint="give another --output"
            ) from error
        return run

    def save(self) -> None:
        """Writes the manifest as it is now."""
        write_json(self.folder / MANIFEST, self.manifest)

    def finish(self, status: str, reason: str | None = None) -> None:
        """The last word: "complete" or "failed", and why."""
        self.manifest.update(status=status, reason=reason, ended=_now())
        self.save()

    def test_folder(self, scenario: str, mode: str, number: int = 1) -> Path:
        """Where one test's files go; ``number`` counts the repetitions of a performance test."""
        parts = ("performance", f"run_{number}") if mode == "performance" else ("accuracy",)
        return self.folder.joinpath(scenario, *parts)

    def try_folder(self, scenario: str, number: int) -> Path:
        """A new folder for one try of the search for the peak."""
        folder = self.folder / PEAK / scenario / f"try_{number}"
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def open_test(
        self, scenario: str, mode: str, fingerprint: str, number: int = 1
    ) -> tuple[Path, dict[str, Any] | None]:
        """The test's folder, and its record if it was finished with the same fingerprint; else it is empty."""
        folder = self.test_folder(scenario, mode, number)
        done = folder / "test.json"
        if done.is_file():
            try:
                record: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
            except ValueError:
                record = {}
            if record.get("fingerprint") == fingerprint:
                return folder, record
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder, None


def default_folder(name: str) -> Path:
    """``results/<name>-<date>-<time>`` in the working directory, one that does not exist."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path("results") / f"{name}-{stamp}"
    for again in range(2, 100):
        if not folder.exists():
            break
        folder = Path("results") / f"{name}-{stamp}-{again}"
    return folder


def _clear(folder: Path) -> None:
    """Removes what an earlier run wrote, and nothing else."""
    for name in OWN_FILES:
        (folder / name).unlink(missing_ok=True)
    for scenario in (*SCENARIOS, PEAK):
        shutil.rmtree(folder / scenario, ignore_errors=True)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
