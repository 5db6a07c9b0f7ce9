"""The run that was in a folder before: it stands until the one that takes its place has results.

Its files go into a folder of their own beside the new ones, the manifest first, and come back, the manifest last: so
that wherever a process is killed, it is known which of the two is whole.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.runs.layout import RunLayout


def set_aside(folder: Path) -> None:
    """Moves the files of the run in the folder out of the way."""
    layout = RunLayout(folder)
    layout.earlier.mkdir()
    for path in layout.written_by_a_run:  # the manifest is the first of them
        if path.exists():
            path.rename(layout.earlier / path.name)


def restore(folder: Path) -> bool:
    """Removes what was written since, and moves the earlier run back; False if there is none."""
    layout = RunLayout(folder)
    earlier = RunLayout(layout.earlier)
    if not earlier.manifest.is_file():
        forget(folder)
        return False
    if layout.manifest.is_file():  # else the earlier one is on its way out or back, and nothing is new
        _remove(layout.written_by_a_run)
    for path in reversed(earlier.written_by_a_run):
        if path.exists():
            path.rename(folder / path.name)
    layout.earlier.rmdir()
    return True


def forget(folder: Path) -> None:
    """Removes the earlier run, whose place is taken."""
    layout = RunLayout(folder)
    if layout.earlier.is_dir():
        RunLayout(layout.earlier).manifest.unlink(missing_ok=True)  # first: what is half removed must not come back
        shutil.rmtree(layout.earlier, ignore_errors=True)


def _remove(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
