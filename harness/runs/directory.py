"""The folder of one run: who may write there, its manifest, and its tests that are already done."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from harness.errors import DataError, LogError, UsageError
from harness.files import remove_unfinished, sha256_file, unfinished
from harness.loadgen.plan import Mode
from harness.locks import Busy, made_and_locked
from harness.runs import earlier_run
from harness.runs.documents import read_document, write_document, write_over
from harness.runs.layout import LOADGEN_LOGS, RunLayout, TestFolder
from harness.runs.records import NO_RUN_HINT, Manifest, TestRecord, read_manifest

FREE_BYTES = 256 << 20
"""The logs of a run are far below this; a disk with less is about to be full."""


LAST_WORDS = 4096
"""Bytes that the manifest of a running run keeps free for the reason of its end: the disk may be full then."""


@dataclass
class RunDirectory:
    """``results/<name>/``.

    ``manifest.json`` says "running" from the first moment on; whatever ends the run, `finish` says how.
    """

    folder: Path
    manifest: Manifest

    @property
    def layout(self) -> RunLayout:
        """The places of the run's files."""
        return RunLayout(self.folder)

    @classmethod
    def create(cls, folder: Path, manifest: Manifest, *, resume: bool) -> RunDirectory:
        """Takes the folder: a new one, or one that holds a run, which stands aside until this one has results.

        With ``resume`` the run that is there goes on.

        Raises:
            UsageError: it exists and is not a run, or there is nothing to resume.
            DataError: it cannot be written, or the disk is nearly full.
            LogError: the manifest of the run to resume is damaged.
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
            remove_unfinished(folder)
            if there and not resume:
                earlier_run.set_aside(folder)
            run = cls(folder, manifest)
            if resume:
                before = read_manifest(folder)
                run.update(started=before.started, resumed=(*before.resumed, _now()))
            else:
                run.update(started=_now())
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
            raise UsageError("is not a run: it has no manifest.json", where=str(folder), hint=NO_RUN_HINT)
        manifest = read_manifest(folder)
        remove_unfinished(folder)
        return cls(folder, manifest)

    def update(self, **parts: object) -> None:
        """Replaces parts of the manifest and writes it."""
        self.manifest = self.manifest.model_copy(update=parts)
        room = LAST_WORDS if self.manifest.status == "running" else 0
        write_document(self.layout.manifest, self.manifest, room=room)

    def add_test(self, test: TestRecord) -> None:
        """Adds a finished test to the manifest and writes it; from now on there are results."""
        earlier_run.forget(self.folder)
        self.update(tests=(*(self.manifest.tests or ()), test))

    def give_way(self) -> bool:
        """Whether a run that was here before is in its place again, because this one got no results."""
        return earlier_run.restore(self.folder)

    def finish(self, status: str, reason: str | None = None) -> None:
        """The last word: "complete" or "failed", and why."""
        if status == "complete":
            earlier_run.forget(self.folder)
        try:
            self.update(status=status, reason=reason, ended=_now())
        except OSError:  # a full disk; the manifest of a running run keeps room for its end
            write_over(self.layout.manifest, self.manifest)

    def test_folder(self, scenario: str, mode: Mode, number: int = 1) -> Path:
        """Where one test's files go; ``number`` counts the repetitions of a performance test."""
        return self.layout.test(scenario, mode, number).path

    def try_folder(self, scenario: str, number: int) -> Path:
        """A new folder for one try of the search for the peak."""
        folder = self.layout.peak_try(scenario, number).path
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def open_test(self, folder: Path, fingerprint: str) -> TestRecord | None:
        """The record of a test that was finished with that fingerprint and whose logs are as they were.

        Otherwise the folder is emptied.
        """
        path = TestFolder(folder).record
        record = _record(path)
        if record is not None and record.fingerprint == fingerprint and record.logs == log_hashes(folder):
            return record
        if folder.exists():
            path.unlink(missing_ok=True)  # first: nobody shall trust what is half removed
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return None

    def forget_test(self, folder: Path) -> None:
        """Takes away the record of a test, so that it is run again."""
        TestFolder(folder).record.unlink(missing_ok=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a run directory, which is made if need be; a run that was pushed aside is restored.

    Raises:
        UsageError: another process is at it, or it is a file.
        DataError: it cannot be made.
    """
    with ExitStack() as held:
        try:
            held.enter_context(made_and_locked(folder))
            if not holds_run(folder) or RunLayout(folder).earlier.is_dir():
                earlier_run.restore(folder)  # a process was killed before it had results
        except Busy:
            raise UsageError("another process is at this run", where=str(folder), hint="wait for its end") from None
        except FileExistsError:
            raise UsageError("is a file", where=str(folder), hint="give another --output") from None
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror}", where=str(folder), hint="give another --output"
            ) from error
        yield


def is_taken(folder: Path) -> bool:
    """Whether a process is at the run that is there; nothing is changed by asking."""
    try:
        with made_and_locked(folder):
            return False
    except Busy:
        return True
    except OSError:  # a folder that may not be opened does not say
        return False


def check_free(folder: Path) -> None:
    """Refuses a folder with a complete run, which must not be replaced by accident.

    Raises:
        UsageError: it holds one, or one whose manifest is damaged.
    """
    if not holds_run(folder):
        return
    try:
        complete = read_manifest(folder).status == "complete"
    except LogError:
        complete = True
    if complete:
        raise UsageError(
            "holds a finished run",
            where=str(folder),
            hint="another --output, --resume to keep what is there, or --overwrite to replace it",
        )


def holds_run(folder: Path) -> bool:
    """Whether the folder is a run, in whatever state."""
    return RunLayout(folder).manifest.is_file()


def default_folder(name: str) -> Path:
    """``results/<name>-<date>-<time>`` in the working directory, made now, so that nobody else takes it.

    Raises:
        OSError: it cannot be made.
    """
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        folder = Path("results") / (f"{name}-{stamp}" if number == 1 else f"{name}-{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError


def log_hashes(folder: Path) -> dict[str, str]:
    """Name → sha256 of LoadGen's logs in a folder; a power failure may cut them, and people may edit them."""
    return {path.name: sha256_file(path) for path in sorted(folder.glob(LOADGEN_LOGS))}


def _record(path: Path) -> TestRecord | None:
    """None where it is absent or damaged: then the test is one that was not done."""
    try:
        return read_document(TestRecord, path)
    except LogError:
        return None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
