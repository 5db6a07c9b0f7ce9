"""What a check found: one line each, for a person and for a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

Status = Literal["PASS", "FAIL", "WARN", "SKIP", "REHEARSAL"]
SubjectT = TypeVar("SubjectT")
SHOWN_PLACES = 3
"""How many of the places that say the same are named."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one rule for one file or folder of a tree.

    Attributes:
        status: FAIL: the round forbids it. WARN: unusual, or only warned of officially; no failure. SKIP: it could not
            be looked at, e.g. without the backup of the accuracy logs; no failure. REHEARSAL: a FAIL that any
            rehearsal has, and no failure of it.
        rule: which one, in a few words.
        path: of the file or folder it is about, relative to the tree.
        found: what is there.
        required: what the round asks for.
        remedy: what to do.
        short: there is less of something than the round asks for (time, queries, images), and nothing else is wrong.
    """

    status: Status
    rule: str
    path: str
    found: str = ""
    required: str = ""
    remedy: str = ""
    short: bool = False

    def __str__(self) -> str:
        text = f"[{self.status}] {self.path}: {self.rule}"
        if self.found:
            text += f": found {self.found}"
        if self.required:
            text += f", required {self.required}"
        return f"{text}; next: {self.remedy}" if self.remedy else text


@dataclass(frozen=True)
class FindingGroup:
    """Findings that say the same of several files or folders.

    Attributes:
        finding: the first of them.
        paths: of all of them, in order.
    """

    finding: Finding
    paths: tuple[str, ...]

    def __str__(self) -> str:
        shown, more = ", ".join(self.paths[:SHOWN_PLACES]), len(self.paths) - SHOWN_PLACES
        text = str(replace(self.finding, path=shown if more <= 0 else f"{shown} and {more} more"))
        return text if len(self.paths) == 1 else f"{text} ({len(self.paths)} places)"


def grouped(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Findings that differ in their path only become one; what passes stays as it is."""
    paths: dict[Finding, list[str]] = {}
    for finding in findings:
        group = finding if finding.status == "PASS" else replace(finding, path="")
        paths.setdefault(group, []).append(finding.path)
    # a folder that several results share is one place
    return [FindingGroup(replace(group, path=each[0]), tuple(dict.fromkeys(each))) for group, each in paths.items()]


@dataclass(frozen=True)
class Problem:
    """What a rule does not accept; `judge` makes a finding of it, whose attributes these are."""

    path: str
    found: str
    required: str
    remedy: str
    status: Literal["FAIL", "WARN", "SKIP"] = "FAIL"
    short: bool = False


Rule = Callable[[SubjectT], Iterable[Problem]]


def judge(rules: dict[str, Rule[SubjectT]], subject: SubjectT, where: str) -> Iterator[Finding]:
    """The problems that each rule has with a subject, or one PASS.

    Args:
        rules: name → rule.
        where: path of the subject, for the PASS.
    """
    for name, rule in rules.items():
        problems = list(rule(subject))
        for problem in problems:
            said = (problem.path, problem.found, problem.required, problem.remedy)
            yield Finding(problem.status, name, *said, short=problem.short)
        if not problems:
            yield Finding("PASS", name, where)


def in_a_rehearsal(finding: Finding) -> Finding:
    """The finding as it counts in a rehearsal, which is short by design: that, and nothing else, is no failure."""
    return replace(finding, status="REHEARSAL") if finding.status == "FAIL" and finding.short else finding
