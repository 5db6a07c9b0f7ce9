"""The official submission checker, run from a user's clone of mlcommons/inference; any ERROR line of it fails."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import DataError
from harness.submission.rules.finding import Finding

SCRIPT = Path("tools/submission/submission-checker.py")
"""The checker up to v5.0."""
PACKAGE = Path("tools/submission/submission_checker/main.py")
"""That of later rounds, a package."""
RULE = "official checker"
_BRANCHES = {"v1.1": "r1.1", "v6.0": "master", "v6.1": "master"}
"""Where a round's checker is, when there is no tag of the round's name."""
_ERROR = re.compile(r" ERROR\] (.*)|^ERROR:\w+:(.*)")
_UNITS = {"Offline": "Samples/s", "Server": "Queries/s", "SingleStream": "Latency (ms)", "MultiStream": "Latency (ms)"}
"""The units, which the package's table leaves out."""


def check_officially(clone: Path, tree: Path, round_name: str, submitter: str | None = None) -> Iterator[Finding]:
    """Its ERROR lines as failures, or one PASS.

    Args:
        clone: of mlcommons/inference, at the round's tag where the checker is a script.
        round_name: e.g. "v2.0".

    Raises:
        DataError: the checker is not there, does not know the round or did not come to its end.
    """
    script, package = clone / SCRIPT, clone / PACKAGE
    hint = f"git -C {clone} checkout {_BRANCHES.get(round_name, round_name)}"
    if not script.is_file() and not package.is_file():
        raise DataError(f"holds no {SCRIPT}", where=str(clone), hint=f"give a clone of mlcommons/inference; {hint}")
    modular = package.is_file()
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "checker.csv"
        program = ["-m", "submission_checker.main"] if modular else [str(script.resolve())]
        command = [sys.executable, *program, "--input", str(tree.resolve()), "--version", round_name]
        command += ["--csv", str(table)] + (["--submitter", submitter] if submitter else [])
        # the package is found from its own folder; nothing is to be left there
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        where = package.resolve().parent.parent if modular else Path(scratch)
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", cwd=where, env=environment
        )
        said = (done.stdout + done.stderr).splitlines()
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines())) if table.is_file() else []
    if not any("SUMMARY: submission" in line for line in said):
        last = said[-1] if said else "nothing"
        raise DataError(f"the checker did not come to its end, its last line: {last}", where=str(script), hint=hint)
    script = package if modular else script
    errors = [match[1] or match[2] for line in said if (match := _ERROR.search(line))]
    for text in errors:
        yield Finding("FAIL", RULE, str(script), f"ERROR {text}", "no ERROR line", "see our own finding about it")
    for row in rows:
        compliance = row.get("compilance", row.get("compliance"))  # the column is spelt so
        if compliance != "1" and not modular:  # the package has no such column, and an ERROR line
            path = row.get("Location", "")
            yield Finding("FAIL", RULE, path, f"compliance {compliance}", "1", "mend or add the compliance tests")
    if done.returncode:
        found = f"exit status {done.returncode}"
        yield Finding("FAIL", RULE, str(script), found, "0", "see its ERROR lines above")
    elif not errors:
        results = [
            f"{row['Model']} {row['Scenario']} {row['Result']} {row.get('Units') or _UNITS.get(row['Scenario'], '')}"
            for row in rows
        ]
        yield Finding("PASS", RULE, str(script), "; ".join(results) or "no result")
