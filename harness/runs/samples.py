"""Where the time of a sample went: per-sample records → stage times."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import LogError
from harness.runs.figures import NodeFigures, SessionFigures
from harness.runs.records import TestRecord
from harness.stages import PERCENTILES, STAGES

MOMENTS = tuple(dict.fromkeys(moment for pair in STAGES.values() for moment in pair))
WHOLE_NUMBERS = ("session", "sample_id", "sample_index", *MOMENTS)
"""The columns of a test's samples."""
OF_IMAGES = ("sample_index", "image_id", "file_name", "width", "height", "objects", "detections", "AP50")
"""The columns of an accuracy test's images."""


def read_images(path: Path) -> pd.DataFrame:
    """One row an image of an accuracy test, see `Run.images`.

    Raises:
        LogError: the file is missing or damaged.
    """
    # a file called NA.jpg is not a missing one, nor one called 0012 a number
    return read_table(path, OF_IMAGES, keep_default_na=False, na_values={"AP50": [""]}, dtype={"file_name": str})


def read_samples(path: Path) -> pd.DataFrame:
    """One row a sample: session, sample_id, sample_index, and six moments in ns since the first issue.

    Runs of before version 0.1 decoded right after the inference, and have no moment of its own for that.

    Raises:
        LogError: the file is missing or damaged.
    """
    samples = read_table(path, [column for column in WHOLE_NUMBERS if column != "decoding_ns"])
    if "decoding_ns" not in samples:
        samples.insert(list(samples).index("inferred_ns") + 1, "decoding_ns", samples["inferred_ns"])
    if samples.empty:
        raise LogError("is damaged: no samples in it", where=str(path))
    for column in WHOLE_NUMBERS:
        if not pd.api.types.is_integer_dtype(samples[column]):
            raise LogError(f"is damaged: {column} is no whole number everywhere", where=str(path))
    return samples


def read_table(path: Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """A CSV file of a test that has at least these columns.

    Raises:
        LogError: the file is missing or damaged.
    """
    try:
        table: pd.DataFrame = pd.read_csv(path, **options)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise LogError(f"cannot be read: {error}", where=str(path)) from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise LogError(f"is damaged: it has no column {', '.join(missing)}", where=str(path))
    return table


def stages_ms(samples: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean and percentiles of every stage in milliseconds; the five of one sample add up to its whole time."""
    table: dict[str, dict[str, float]] = {}
    for stage, (start, end) in STAGES.items():
        times_ms = (samples[end] - samples[start]) / 1e6
        table[stage] = {"mean": round(float(times_ms.mean()), 6)} | {
            name: round(float(times_ms.quantile(q)), 6) for name, q in PERCENTILES.items()
        }
    return table


def sessions(samples: pd.DataFrame, names: Sequence[str]) -> dict[str, SessionFigures]:
    """Each session's samples, inference in ms (mean, p50, p99), and the share of the test in which it was inferring."""
    duration_ns = int(samples["completed_ns"].max() - samples["issued_ns"].min())
    inference_ns = samples["inferred_ns"] - samples["started_ns"]
    table = {}
    for k, name in enumerate(names):
        own = inference_ns[samples["session"] == k]
        table[name] = SessionFigures(
            samples=len(own),
            inference_ms=round(float(own.mean()) / 1e6, 6) if len(own) else None,
            inference_p50_ms=round(float(own.quantile(0.5)) / 1e6, 6) if len(own) else None,
            inference_p99_ms=round(float(own.quantile(0.99)) / 1e6, 6) if len(own) else None,
            busy=round(float(own.sum()) / duration_ns, 4),
        )
    return table


def nodes(samples: pd.DataFrame, test: TestRecord, busy: Mapping[str, SessionFigures]) -> dict[str, NodeFigures]:
    """Each node's part in a test; empty where the sessions were in the test's own process.

    Args:
        busy: of the sessions, by name.
    """
    found = {}
    for node in test.nodes:
        own = [session for session in test.sessions if session.node == node.name]
        its_samples = samples[samples["session"].isin([session.index for session in own])]
        found[node.name] = NodeFigures(
            sessions=len(own),
            samples=len(its_samples),
            busy=round(sum(busy[session.name].busy for session in own) / max(len(own), 1), 4),
            way_ms=node.way_ms,
            way_share=node.way_share,
            stages_ms={name: values["mean"] for name, values in stages_ms(its_samples).items()}
            if len(its_samples)
            else {},
            lost=node.lost,
        )
    return found


def stages_at(queries: pd.DataFrame, latency_ms: dict[str, float]) -> dict[str, dict[str, float]]:
    """The stages of the queries at LoadGen's percentiles, in milliseconds.

    Of each percentile in ``latency_ms`` (p50, …): the mean stages of the queries nearest to its rank, at most one in
    five hundred, and as "LoadGen" what is missing to LoadGen's own figure: its clock starts before and ends after ours.
    """
    ordered = queries.sort_values("latency_ms", kind="stable")
    table = {}
    for name, of_loadgen in latency_ms.items():
        if name not in PERCENTILES:
            continue
        rank = min(int(PERCENTILES[name] * len(ordered)), len(ordered) - 1)
        around = min(10, len(ordered) // 1000, rank, len(ordered) - 1 - rank)
        near = ordered.iloc[rank - around : rank + around + 1]
        row = {stage: float(near[f"{stage}_ms"].mean()) for stage in STAGES}
        table[name] = row | {"LoadGen": of_loadgen - sum(row.values())}
    return table
