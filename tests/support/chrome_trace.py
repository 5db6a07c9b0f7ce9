"""An independent, strict reader of the Chrome trace format: what Perfetto would nest wrongly is an error here.

Also the way to Perfetto's own trace processor, where there is one.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

Span = tuple[str, int, int, dict[str, Any]]
"""Name, begin and duration in nanoseconds, args."""


@dataclass
class Trace:
    """A trace, checked.

    Attributes:
        about: ``otherData``.
        threads: (process name, thread name or number) → its complete events, by their begin.
        spans: (process name, category, name) → asynchronous spans.
        counters: (process name, counter) → (ns, value).
    """

    about: dict[str, Any]
    threads: dict[tuple[str, str], list[Span]] = field(default_factory=lambda: defaultdict(list))
    spans: dict[tuple[str, str, str], list[Span]] = field(default_factory=lambda: defaultdict(list))
    counters: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))


def read_trace(path: Path) -> Trace:
    """Reads and checks all of it; an AssertionError says what is wrong with which event."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        data = json.load(file, parse_float=Decimal, parse_constant=lambda text: pytest.fail(f"{text} in the trace"))
    assert set(data) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert data["displayTimeUnit"] in ("ms", "ns")
    processes: dict[int, str] = {}
    threads: dict[tuple[int, int], str] = {}
    for event in data["traceEvents"]:
        if event["ph"] == "M" and event["name"] == "process_name":
            processes[event["pid"]] = event["args"]["name"]
        elif event["ph"] == "M" and event["name"] == "thread_name":
            threads[event["pid"], event["tid"]] = event["args"]["name"]
    trace = Trace(data["otherData"])
    open_spans: dict[tuple[int, str, str, int], tuple[int, dict[str, Any]]] = {}
    for event in data["traceEvents"]:
        kind, args = event["ph"], event.get("args", {})
        assert isinstance(event["name"], str), event
        assert isinstance(args, dict), event
        if kind == "M":
            continue
        process, begin = processes[event["pid"]], nanoseconds(event["ts"])
        assert begin >= 0, event  # Perfetto drops them
        if kind == "X":
            duration = nanoseconds(event["dur"])
            assert duration >= 0, event
            thread = threads.get((event["pid"], event["tid"]), str(event["tid"]))
            trace.threads[process, thread].append((event["name"], begin, duration, args))
        elif kind == "b":
            key = event["pid"], event["cat"], event["name"], event["id"]
            assert key not in open_spans, event
            open_spans[key] = begin, args
        elif kind == "e":
            began, args = open_spans.pop((event["pid"], event["cat"], event["name"], event["id"]))
            assert begin >= began, event
            trace.spans[process, event["cat"], event["name"]].append((event["name"], began, begin - began, args))
        elif kind == "C":
            assert args, event
            for name, value in args.items():
                trace.counters[process, f"{event['name']}.{name}"].append((begin, float(value)))
        else:
            raise AssertionError(event)
    assert not open_spans
    for name, spans in trace.threads.items():
        spans.sort(key=lambda span: (span[1], -span[2]))
        _check_nesting(name, spans)
    for points in trace.counters.values():  # LoadGen's come in the order of completion
        points.sort(key=lambda point: point[0])
    return trace


def nanoseconds(microseconds: Decimal | int) -> int:
    """The format counts in microseconds; ours has three decimals."""
    value = Decimal(microseconds) * 1000
    assert value == int(value), microseconds
    return int(value)


def _check_nesting(thread: tuple[str, str], spans: list[Span]) -> None:
    stack: list[int] = []
    for name, begin, duration, _ in spans:
        while stack and stack[-1] <= begin:
            stack.pop()
        end = begin + duration
        assert not stack or end <= stack[-1], f"{name} at {begin} ns on {thread} overlaps the one it begins in"
        stack.append(end)


def trace_processor() -> str:
    """Perfetto's trace processor; skips the test where there is none."""
    program = (
        os.environ.get("TRACE_PROCESSOR") or shutil.which("trace_processor_shell") or shutil.which("trace_processor")
    )
    if program is None:
        pytest.skip("no trace_processor_shell of Perfetto on the PATH (or named by TRACE_PROCESSOR)")
    return program


def query(path: Path, sql: str, folder: Path) -> list[dict[str, str]]:
    """Rows of an SQL query that Perfetto's trace processor answers about a trace."""
    file = folder / "query.sql"
    file.write_text(sql)
    done = subprocess.run(
        [trace_processor(), "-q", str(file), str(path)], capture_output=True, text=True, check=True, timeout=300
    )
    return list(csv.DictReader(done.stdout.splitlines()))
