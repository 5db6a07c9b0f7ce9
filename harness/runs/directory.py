"""The folder of one run: who may write there, its manifest, and its tests that are already done."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness.errors import DataError, LogError, UsageError
from harness.files import remove_unfinished, sha256_file, unfinished, write_json
from harness.runs.submittable import COMPLIANCE_NAME
from harness.settings import SCENARIOS

SCHEMA = 1
FREE_BYTES = 256 << 20  # logs of a run are far below this; a disk with less is about to be full
MANIFEST = "manifest.json"
RECORD = "test.json"  # of a finished test, written last
LOGS = "mlperf_log_*"
PEAK = "find_peak"  # the folder of its tries
OWN_FILES = (MANIFEST, COMPLIANCE_NAME, "summary.json", "summary.csv", "report.html")


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
        there = holds_run(folder)
        if folder.exists() and not folder.is_dir():
            raise UsageError("is a file", where=str(folder), hint="give another --output")
        if folder.is_dir() and not there and set(folder.iterdir()) - unfinished(folder):
            raise UsageError("exists and is not a run", where=str(folder), hint="give another --output, or empty it")
        if resume and not there:
            raise UsageError("nothing to resume here", where=str(folder), hint="give the --output of the run to resume")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free < FREE_BYTES:
                need, have = FREE_BYTES >> 20, free >> 20
                raise DataError(f"no space left: a run needs {need} MiB, {have} MiB are free", where=str(folder))
            if there and not resume:
                _clear(folder)
            remove_unfinished(folder)
            began: dict[str, Any] = {"schema": SCHEMA, "status": "running", "started": _now()}
            if resume:
                before = _read(folder / MANIFEST)
                began |= {"started": before.get("started"), "resumed": [*before.get("resumed", []), _now()]}
            run = cls(folder, began | manifest)
            run.save()
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror}", where=str(folder), hint="give another --output"
            ) from error
        return run

    @classmethod
    def open(cls, folder: Path) -> RunDirectory:
        """A run that is there, to add to it; its manifest stays as it is.

        Raises:
            UsageError: it is not a run.
            LogError: its manifest is damaged.
        """
        if not holds_run(folder):
            raise UsageError("is not a run: it has no manifest.json", where=str(folder))
        manifest = _read(folder / MANIFEST)
        if not manifest:
            raise LogError("is damaged", where=str(folder / MANIFEST))
        remove_unfinished(folder)
        return cls(folder, manifest)

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

    def open_test(self, folder: Path, fingerprint: str) -> dict[str, Any] | None:
        """The record of a test that was finished with that fingerprint and whose logs are as they were.

        Otherwise the folder is emptied.
        """
        record = _read(folder / RECORD)
        if record.get("fingerprint") == fingerprint and record.get("logs", {}) == log_hashes(folder):
            return record
        if folder.exists():
            (folder / RECORD).unlink(missing_ok=True)  # first: nobody shall trust what is half removed
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a run directory that is there; the system lets go whatever ends this process.

    Raises:
        UsageError: another one is at it.
    """
    if not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError("another process is at this run", where=str(folder), hint="wait for its end") from None
    finally:
        os.close(descriptor)


def holds_run(folder: Path) -> bool:
    """Whether there is a run to resume."""
    return (folder / MANIFEST).is_file()


def default_folder(name: str) -> Path:
    """``results/<name>-<date>-<time>`` in the working directory, one that does not exist."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path("results") / f"{name}-{stamp}"
    for again in range(2, 100):
        if not folder.exists():
            break
        folder = Path("results") / f"{name}-{stamp}-{again}"
    return folder


def log_hashes(folder: Path) -> dict[str, str]:
    """Name → sha256 of LoadGen's logs in a folder; a power failure may cut them, and people may edit them."""
    return {path.name: sha256_file(path) for path in sorted(folder.glob(LOGS))}


def _read(path: Path) -> dict[str, Any]:
    """Empty where it is absent or damaged: then it is as if nothing had been done."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _clear(folder: Path) -> None:
    """Removes what an earlier run wrote, and nothing else."""
    for name in OWN_FILES:
        (folder / name).unlink(missing_ok=True)
    for scenario in (*SCENARIOS, PEAK):
        shutil.rmtree(folder / scenario, ignore_errors=True)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
