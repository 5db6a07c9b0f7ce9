"""``trace.json.gz``: a performance test in the Chrome trace format, for Perfetto.

Made after the test from its samples' moments and from LoadGen's own trace, laid on the same clock. Times are in
microseconds since LoadGen's first event: Perfetto takes none below zero. In this format the complete events (X) of a
thread must nest; so what overlaps, as the waits of samples in the queue do, is written as asynchronous events (b, e).
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from harness.files import replacing
from harness.runs.documents import read_document
from harness.runs.layout import TestFolder
from harness.runs.loadgen_trace import LoadGenTrace
from harness.runs.profiles import ProfileRecord, mean_layers, mean_parts
from harness.runs.samples import read_samples
from harness.runs.timeline import Ns, queue_depth, steps
from harness.stages import STAGES

SESSIONS, QUEUE, LOADGEN, LAYERS = 1, 2, 3, 4
"""The trace's processes."""
MOST_SAMPLES = 250_000
"""Of a longer test every second, third, … sample of a session is in the trace."""
MOST_WAITING_DRAWN = 64
"""Waits drawn at the same time; where more samples wait, the trace has every second, third, … wait."""
MOST_POINTS = 50_000
"""Of a counter; of more, the last in each of so many equal times."""

ON_THE_SESSION = ("inference", "postprocess", "complete")
BESIDE = {"postprocess": "decoding", "complete": "held answer"}
"""Stages that may go on while their session is at its next sample, and what they are called then."""


def write_trace(folder: Path, names: Sequence[str], title: str) -> Path:
    """Writes the trace of the test in ``folder``; gives the file.

    Args:
        names: of the sessions, by their index.

    Raises:
        LogError: ``samples.csv.gz`` is missing or damaged.
    """
    files = TestFolder(folder)
    samples = read_samples(files.samples)
    loadgen = LoadGenTrace(folder, samples)
    shift_ns = round(loadgen.before_us * 1e3)
    moments = list(dict.fromkeys(chain.from_iterable(STAGES.values())))
    samples[moments] += shift_ns
    every = max(-(-len(samples) // MOST_SAMPLES), 1)
    depth = queue_depth(samples)
    at_work = steps((samples["started_ns"], 1), (samples["inferred_ns"], -1))
    every_wait = every * max(-(-int(depth[1].max(initial=0)) // (MOST_WAITING_DRAWN * every)), 1)
    about = {
        "test": title,
        "clock": "microseconds since LoadGen's first event, of CLOCK_MONOTONIC",
        "first sample issued, microseconds": shift_ns / 1e3,
        "samples": len(samples),
        "inference spans": _share(every),
        "queue spans": _share(every_wait),
        **loadgen.about,
    }
    events = chain(
        _names(names),
        _sessions(samples, every),
        _waits(samples, every_wait),
        _counter("queue depth", "waiting", depth),
        _counter("sessions at work", "at work", at_work),
        loadgen.events(LOADGEN, every, MOST_WAITING_DRAWN, shift_ns / 1e3),
        _profiled(files.profile, samples, names),
    )
    path = files.trace
    with (
        replacing(path) as temporary,
        gzip.open(temporary, "wb", compresslevel=1) as packed,
        io.TextIOWrapper(packed, encoding="utf-8") as text,
    ):
        text.write(f'{{"displayTimeUnit":"ms","otherData":{json.dumps(about)},"traceEvents":[\n')
        text.write(next(events))
        text.writelines(f",\n{event}" for event in events)
        text.write("\n]}\n")
    return path


def _share(every: int) -> str:
    return "of every sample" if every == 1 else f"of one sample in {every}"


def _names(sessions: Sequence[str]) -> Iterator[str]:
    processes = ((SESSIONS, "Sessions"), (QUEUE, "Queue"), (LOADGEN, "LoadGen"))
    for order, (pid, name) in enumerate(processes):
        yield _json(name="process_name", ph="M", pid=pid, args={"name": name})
        yield _json(name="process_sort_index", ph="M", pid=pid, args={"sort_index": order})
    for index, name in enumerate(sessions):
        yield _json(name="thread_name", ph="M", pid=SESSIONS, tid=index + 1, args={"name": name})
        yield _json(name="thread_sort_index", ph="M", pid=SESSIONS, tid=index + 1, args={"sort_index": index})


def _json(**event: object) -> str:
    return json.dumps(event, separators=(",", ":"))


def us(ns: float) -> str:
    """Nanoseconds as the format's microseconds, to the nanosecond."""
    return f"{ns / 1000:.3f}"


def _sessions(samples: pd.DataFrame, every: int) -> Iterator[str]:
    """A track for each session. What goes on beside its next inference is not on it: it would not nest."""
    for session, recorded in samples.sort_values("started_ns", kind="stable").groupby("session"):
        tid, own = int(str(session)) + 1, _one_after_the_other(recorded)
        moments = {stage: (own[start].tolist(), own[end].tolist()) for stage, (start, end) in STAGES.items()}
        begins = moments["inference"][0]
        what = own["sample_index"].tolist()
        ids = own.index.tolist()
        for k in range(0, len(own), every):
            waited_ns = moments["queue"][1][k] - moments["queue"][0][k]
            args = f'{{"sample":{what[k]},"queue_us":{us(waited_ns)}}}'
            for stage in ON_THE_SESSION:
                start, end = moments[stage][0][k], moments[stage][1][k]
                if stage in BESIDE and k + 1 < len(begins) and end > begins[k + 1]:
                    yield from _span(BESIDE[stage], "answers", SESSIONS, ids[k], start, end, what[k])
                else:
                    yield (
                        f'{{"name":"{stage}","cat":"sample","ph":"X","pid":{SESSIONS},"tid":{tid},'
                        f'"ts":{us(start)},"dur":{us(end - start)},"args":{args}}}'
                    )


def _profiled(path: Path, samples: pd.DataFrame, names: Sequence[str]) -> Iterator[str]:
    """An inference of each session by its own profiler: parts, or layers, end to end with their mean times.

    It stands where the session's first inference began. What ran at once on a device is drawn one after the other.
    """
    if not path.is_file():
        return
    profiles = read_document(ProfileRecord, path).sessions
    yield _json(name="process_name", ph="M", pid=LAYERS, args={"name": "Mean inference by the backend's profiler"})
    begins = samples.groupby("session")["started_ns"].min()
    for index, name in enumerate(names):
        if name not in profiles or index not in begins.index:
            continue
        yield _json(name="thread_name", ph="M", pid=LAYERS, tid=index + 1, args={"name": name})
        own = [profiles[name]]
        means = [(layer.name, layer.kind, layer.mean_ms) for layer in mean_layers(own)]
        means = means or [(part, "part", mean_ms) for part, mean_ms in mean_parts(own).items()]
        at = float(begins[index])
        for what, kind, mean_ms in means:
            length = mean_ms * 1e6
            yield _json(
                name=what,
                cat="layer",
                ph="X",
                pid=LAYERS,
                tid=index + 1,
                ts=round(at / 1e3, 3),
                dur=round(length / 1e3, 3),
                args={"operator": kind, "inferences": profiles[name].inferences},
            )
            at += length


def _one_after_the_other(own: pd.DataFrame) -> pd.DataFrame:
    """The samples of a session, moved later where they overlap.

    Those of a node do, by as much as the ways there differ: they stand as if they had arrived when they were sent.
    """
    starts, ends = own["started_ns"].to_numpy(), own["inferred_ns"].to_numpy()
    if (starts[1:] >= ends[:-1]).all():
        return own
    later, end_before = np.zeros(len(own), np.int64), starts[0]
    for k, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        later[k] = max(end_before - start, 0)
        end_before = end + later[k]
    moved = own.copy()
    for moment in ("started_ns", "inferred_ns", "decoding_ns", "decoded_ns"):
        moved[moment] += later
    moved["completed_ns"] = np.maximum(moved["completed_ns"], moved["decoded_ns"])
    return moved


def _waits(samples: pd.DataFrame, every: int) -> Iterator[str]:
    start, end = STAGES["queue"]
    ordered = samples.sort_values(end, kind="stable").iloc[::every]
    columns = (ordered.index, ordered[start], ordered[end], ordered["sample_index"])
    for identity, begin, finish, index in zip(*(column.tolist() for column in columns), strict=True):
        yield from _span("queue", "queue", QUEUE, identity, begin, finish, index)


def _span(name: str, category: str, pid: int, identity: int, start: int, end: int, sample: int) -> Iterator[str]:
    what = f'"name":"{name}","cat":"{category}","pid":{pid},"tid":0,"id":{identity}'
    yield f'{{{what},"ph":"b","ts":{us(start)},"args":{{"sample":{sample}}}}}'
    yield f'{{{what},"ph":"e","ts":{us(end)}}}'


def _counter(name: str, key: str, steps: tuple[Ns, Ns]) -> Iterator[str]:
    moments, values = steps
    if len(moments) > MOST_POINTS:
        bins = np.searchsorted(np.linspace(moments[0], moments[-1], MOST_POINTS), moments)
        last = np.append(np.diff(bins) > 0, True)
        moments, values = moments[last], values[last]
    for moment, value in zip(moments.tolist(), values.tolist(), strict=True):
        yield f'{{"name":"{name}","ph":"C","pid":{QUEUE},"ts":{us(moment)},"args":{{"{key}":{value}}}}}'
