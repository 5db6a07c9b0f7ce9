"""Stage times come from the samples' own records."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from harness.errors import LogError
from harness.runs.samples import read_samples, sessions, stages_ms

ROWS = """session,sample_id,sample_index,issued_ns,started_ns,inferred_ns,decoded_ns,completed_ns
0,1,7,0,1000000,11000000,12000000,12500000
1,2,8,0,2000000,22000000,23000000,25000000
"""


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.csv.gz"
    path.write_bytes(gzip.compress(ROWS.encode()))
    return path


def test_stages_of_a_sample_add_up_to_its_whole_time(samples: Path) -> None:
    table = stages_ms(read_samples(samples))
    assert {stage: row["mean"] for stage, row in table.items()} == {
        "queue": 1.5,
        "inference": 15.0,
        "wait": 0.0,  # in a run of before decoding had a moment of its own
        "postprocess": 1.0,
        "complete": 1.25,
    }
    assert sum(row["mean"] for row in table.values()) == pytest.approx((12.5 + 25) / 2)


def test_a_sessions_share_is_of_the_whole_test(samples: Path) -> None:
    table = sessions(read_samples(samples), ["npu#0", "npu#1", "npu#2"])
    assert [row.samples for row in table.values()] == [1, 1, 0]
    assert [row.busy for row in table.values()] == [0.4, 0.8, 0.0]
    assert table["npu#2"].inference_ms is None


def test_a_damaged_file_is_an_error_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv.gz"
    path.write_bytes(gzip.compress(ROWS.encode())[:-20])
    with pytest.raises(LogError, match=r"samples\.csv\.gz: cannot be read"):
        read_samples(path)
