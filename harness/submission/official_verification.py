"""The official verification scripts of compliance tests, run from a user's clone of mlcommons/inference."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.errors import DataError
from harness.loadgen.log import SUMMARY_LOG
from harness.rounds import ComplianceTest
from harness.runs.layout import ComplianceFolders
from harness.submission.compliance_files import TestVerdict

LIMIT_S = 600
_NO_SCORE = re.compile(r"score = 0$", re.MULTILINE)
_NEW_WORDS = re.compile(r"^\d+\.\d+th percentile latency", re.MULTILINE)
_OF_LOADGEN = (
    "the script found no latency: it looks for '90th percentile' (or '99th'), LoadGen since 5.0 writes '90.0th'."
    " This says nothing about the test; our own verification reads the detail log"
)


def verify_officially(
    clone: Path, verdict: TestVerdict, test: ComplianceTest, name: str, folders: ComplianceFolders
) -> TestVerdict:
    """The verdict with that of the official scripts: a failure of theirs is one of the test.

    The one exception is a failure because the script cannot read a summary of LoadGen 5.0 or later, which is a note.

    Raises:
        DataError: a script is not there, or does not come to an end.
    """
    reasons, notes = list(verdict.reasons), list(verdict.notes)
    reference = folders.logs(test.compared_with or "performance")
    for part, (script, *arguments) in test.official.items():
        path = clone.resolve() / script
        if not path.is_file():
            hint = "give a clone of mlcommons/inference at the round's tag"
            raise DataError(f"holds no {script}", where=str(clone), hint=hint)
        places = {"reference": reference, "log": folders.logs(name), "accuracy": folders.accuracy}
        said = _run(path, [argument.format(**places) for argument in arguments])
        summaries = [(places[place] / SUMMARY_LOG).read_text() for place in ("reference", "log")]
        if "TEST PASS" in said:
            notes.append(f"official {part}: TEST PASS")
        elif part == "performance" and _NO_SCORE.search(said) and all(map(_NEW_WORDS.search, summaries)):
            notes.append(f"official {part}: TEST FAIL, but {_OF_LOADGEN}")
        else:
            last = said.strip().splitlines()[-1:] or ["nothing"]
            reasons.append(f"official {part}: {last[0]}")
    return dataclasses.replace(verdict, reasons=tuple(reasons), notes=tuple(notes))


def _run(script: Path, arguments: list[str]) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, str(script), *arguments]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, errors="replace", cwd=scratch, timeout=LIMIT_S
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(f"did not come to its end in {LIMIT_S} s", where=str(script)) from error
    return done.stdout + done.stderr
