"""The round that a run followed: one that is shipped, or the run's own copy of a user's file.

A manifest may come from somebody else, so the name in it opens no file.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import LogError
from harness.files import write_text
from harness.rounds import Round, load_round, round_names
from harness.runs.layout import RunLayout
from harness.runs.records import StartedManifest


def keep_round(folder: Path, name: str) -> None:
    """Copies the file of a round that is not shipped into the run directory; without one, an earlier copy goes.

    Raises:
        OSError: the file cannot be read, or the copy not written.
    """
    copy = RunLayout(folder).round
    if name in round_names():
        copy.unlink(missing_ok=True)
    else:
        write_text(copy, Path(name).read_text(encoding="utf-8"))


def followed_round(folder: Path, manifest: StartedManifest) -> Round:
    """The rules that a run followed.

    Raises:
        LogError: the round is not shipped, and the run has no copy of it.
        UsageError: the copy is not right.
    """
    return load_round(name_of_round(folder, manifest))


def name_of_round(folder: Path, manifest: StartedManifest) -> str:
    """What `load_round` takes for the round of a run: the name of a shipped one, or the path of the run's copy.

    Raises:
        LogError: the round is not shipped, and the run has no copy of it.
    """
    copy = RunLayout(folder).round
    if manifest.round in round_names():
        return manifest.round
    if copy.is_symlink() or not copy.is_file():
        known = ", ".join(round_names())
        what = f"follows the round {manifest.round}, which is none of {known}, and has no {copy.name}"
        hint = "copy the file of the round there, if the run is your own"
        raise LogError(what, where=str(RunLayout(folder).manifest), hint=hint)
    return str(copy)
