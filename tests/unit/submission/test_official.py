"""The official checker is run from a clone; what it only logs counts as a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError
from harness.submission.official import check_officially

HEAD = "Model,Scenario,Result,Units,Location,compilance"
GOOD = "ssd-resnet34,Offline,73.85,Samples/s,closed/Org/results/x/ssd-resnet34/Offline,1"


def clone(folder: Path, says: list[str], rows: list[str], status: int = 0) -> Path:
    """A stand-in with the official one's arguments, messages and table."""
    script = folder / "clone" / "tools" / "submission" / "submission-checker.py"
    script.parent.mkdir(parents=True)
    script.write_text(
        "import argparse, sys\n"
        "parser = argparse.ArgumentParser()\n"
        "for name in ('--input', '--version', '--csv', '--submitter'):\n    parser.add_argument(name)\n"
        "args = parser.parse_args()\n"
        "assert args.version == 'v2.0' and args.submitter in (None, 'Org')\n"
        f"open(args.csv, 'w').write({chr(10).join([HEAD, *rows])!r})\n"
        f"print({chr(10).join(says)!r}, file=sys.stderr)\n"
        f"sys.exit({status})\n"
    )
    return folder / "clone"


def line(level: str, text: str) -> str:
    return f"[2022-03-01 12:00:00,000 submission-checker.py:1 {level}] {text}"


OK = line("INFO", "SUMMARY: submission looks OK")


def test_no_error_line_is_one_pass_with_the_results(tmp_path: Path) -> None:
    [finding] = check_officially(clone(tmp_path, [OK], [GOOD]), tmp_path, "v2.0", "Org")
    assert (finding.status, finding.found) == ("PASS", "ssd-resnet34 Offline 73.85 Samples/s")


def test_an_error_line_fails_though_the_checker_says_ok(tmp_path: Path) -> None:
    says = [line("ERROR", "x qsl_rng_seed is wrong, expected=1, found=2"), OK]
    [finding] = check_officially(clone(tmp_path, says, [GOOD]), tmp_path, "v2.0")
    assert finding.status == "FAIL"
    assert finding.found == "ERROR x qsl_rng_seed is wrong, expected=1, found=2"


def test_a_result_without_compliance_and_a_bad_end_fail(tmp_path: Path) -> None:
    says = [line("INFO", "SUMMARY: submission has errors")]
    findings = list(check_officially(clone(tmp_path, says, [GOOD[:-1] + "0"], 1), tmp_path, "v2.0"))
    assert [finding.found for finding in findings] == ["compliance 0", "exit status 1"]
    assert findings[0].path == "closed/Org/results/x/ssd-resnet34/Offline"


def test_a_checker_that_is_not_there_or_breaks_off_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no tools/submission/submission-checker\.py") as caught:
        list(check_officially(tmp_path, tmp_path, "v2.0"))
    assert "checkout v2.0" in str(caught.value.hint)
    with pytest.raises(DataError, match="did not come to its end, its last line: boom"):
        list(check_officially(clone(tmp_path, ["boom"], []), tmp_path, "v2.0"))


PACKAGE = """
import argparse, sys
parser = argparse.ArgumentParser()
for name in ("--input", "--version", "--csv", "--submitter"):
    parser.add_argument(name)
args = parser.parse_args()
assert args.version == "v6.1"
open(args.csv, "w").write("Model,Scenario,Result\\nssd-large,Offline,78.4\\n")
print({says!r}, file=sys.stderr)
sys.exit({status})
"""


def package(folder: Path, says: str, status: int) -> Path:
    """A stand-in of the checker of later rounds, which is a package."""
    home = folder / "clone" / "tools" / "submission" / "submission_checker"
    home.mkdir(parents=True)
    (home / "__init__.py").write_text("")
    (home / "main.py").write_text(PACKAGE.format(says=says, status=status))
    return folder / "clone"


def test_a_checker_that_is_a_package_is_run_as_one(tmp_path: Path) -> None:
    [finding] = check_officially(package(tmp_path, OK, 0), tmp_path, "v6.1")
    assert (finding.status, finding.found) == ("PASS", "ssd-large Offline 78.4 Samples/s")
    assert finding.path.endswith("submission_checker/main.py")


def test_a_package_that_finds_a_missing_result_fails(tmp_path: Path) -> None:
    says = f"{line('ERROR', 'NoResults x')}\n{line('ERROR', 'SUMMARY: submission has errors')}"
    findings = list(check_officially(package(tmp_path, says, 1), tmp_path, "v6.1"))
    assert findings[0].found == "ERROR NoResults x"
    assert {finding.status for finding in findings} == {"FAIL"}
