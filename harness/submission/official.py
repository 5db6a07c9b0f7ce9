"""The official submission checker, run from a user's clone of mlcommons/inference; any ERROR line of it fails."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import DataError
from harness.submission.rules.finding import Finding

SCRIPT = Path("tools/submission/submission-checker.py")
RULE = "official checker"
_ERROR = re.compile(r" ERROR\] (.*)")


def check_officially(clone: Path, tree: Path, round_name: str, submitter: str | None = None) -> Iterator[Finding]:
    """Its ERROR lines as failures, or one PASS.

    Args:
        clone: of mlcommons/inference at the round's tag.
        round_name: e.g. "v2.0".

    Raises:
        DataError: the checker is not there, does not know the round or did not come to its end.
    """
    script = clone / SCRIPT
    hint = f"git -C {clone} checkout {round_name}"
    if not script.is_file():
        raise DataError(f"holds no {SCRIPT}", where=str(clone), hint=f"give a clone of mlcommons/inference; {hint}")
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "checker.csv"
        command = [sys.executable, str(script.resolve()), "--input", str(tree.resolve()), "--version", round_name]
        command += ["--csv", str(table)] + (["--submitter", submitter] if submitter else [])
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", cwd=scratch)
        said = (done.stdout + done.stderr).splitlines()
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines())) if table.is_file() else []
    if not any("SUMMARY: submission" in line for line in said):
        last = said[-1] if said else "nothing"
        raise DataError(f"the checker did not come to its end, its last line: {last}", where=str(script), hint=hint)
    errors = [match[1] for line in said if (match := _ERROR.search(line))]
    for text in errors:
        yield Finding("FAIL", RULE, str(script), f"ERROR {text}", "no ERROR line", "see our own finding about it")
    for row in rows:
        compliance = row.get("compilance", row.get("compliance"))  # the column is spelt so
        if compliance != "1":
            path = row.get("Location", "")
            yield Finding("FAIL", RULE, path, f"compliance {compliance}", "1", "mend or add the compliance tests")
    if done.returncode:
        found = f"exit status {done.returncode}"
        yield Finding("FAIL", RULE, str(script), found, "0", "see its ERROR lines above")
    elif not errors:
        results = [f"{row['Model']} {row['Scenario']} {row['Result']} {row['Units']}" for row in rows]
        yield Finding("PASS", RULE, str(script), "; ".join(results) or "no result")
