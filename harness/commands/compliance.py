"""``ssd-harness compliance``: the compliance tests of a run, run and verified."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from harness.command_line.json_output import add_json_option, show_or_write

SUMMARY = "Run and verify MLPerf's compliance tests for every scenario of a run."
EXAMPLES = """\
  ssd-harness compliance results/mine
  ssd-harness compliance results/mine --test TEST04-A,TEST04-B
  ssd-harness compliance results/mine --test TEST01 --again    once more, after other work disturbed it
  ssd-harness compliance results/mine --official ~/inference    a clone of mlcommons/inference verifies too"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument("run_directory", type=Path, metavar="RUN", help="a complete run, best one of --mode submission")
    parser.add_argument("--test", metavar="NAMES", help="comma-separated, e.g. TEST01,TEST05 (all of the run's round)")
    parser.add_argument("--again", action="store_true", help="run the tests once more, though they are finished")
    parser.add_argument(
        "--official", type=Path, metavar="DIR", help="a clone of mlcommons/inference: its scripts verify as well"
    )
    add_json_option(parser, "the verdicts")


def run(args: argparse.Namespace) -> int:
    """Runs what is not finished, verifies everything; 1 if a test fails."""
    from harness.benchmark.compliance import run_compliance
    from harness.terminal import Terminal

    terminal = Terminal()
    wanted = [name.strip() for name in args.test.split(",")] if args.test else None
    outcomes = run_compliance(args.run_directory, wanted, terminal, again=args.again, official=args.official)
    failed = sum(not outcome.verdict.passed for outcome in outcomes)

    def show() -> None:
        for outcome in outcomes:
            terminal.result(str(outcome))
            for note in outcome.verdict.notes:
                terminal.result(f"       {note}")
        terminal.result(f"{len(outcomes) - failed} of {len(outcomes)} compliance tests passed: {args.run_directory}")
        if failed:
            terminal.result("Was the machine disturbed? A test is run once more by --test NAME --again")

    tests = [
        {
            "scenario": outcome.scenario,
            "test": outcome.test,
            "passed": outcome.verdict.passed,
            **dataclasses.asdict(outcome.verdict),
        }
        for outcome in outcomes
    ]
    show_or_write({"run": str(args.run_directory), "passed": not failed, "tests": tests}, args.json, show)
    return 1 if failed else 0
