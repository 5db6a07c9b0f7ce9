"""A log that is read while it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.accuracy.growing_log import GrowingLog
from harness.accuracy.log import read_accuracy_log
from harness.errors import LogError
from tests.support.made_logs import log_text, record, rows

PAYLOADS = [(5, rows(5, (0.1, 0.2, 0.3, 0.4, 0.9, 1))), (9, rows(9)), (2, rows(2, (0, 0, 1, 1, 0.5, 17)))]
TEXT = log_text(PAYLOADS)


@pytest.mark.parametrize("step", [1, 7, 64, 1000])
def test_what_is_read_bit_by_bit_is_what_the_whole_log_says(tmp_path: Path, step: int) -> None:
    path = tmp_path / "log.json"
    growing = GrowingLog(path, image_count=10)
    growing.update()  # there is no file yet
    assert growing.images == 0
    seen = []
    for at in range(0, len(TEXT), step):
        with path.open("a") as file:
            file.write(TEXT[at : at + step])
        growing.update()
        seen.append(growing.images)
    assert seen == sorted(seen)
    whole, so_far = read_accuracy_log(path), growing.so_far()
    assert so_far.images.tolist() == whole.images.tolist() == [5, 9, 2]
    np.testing.assert_array_equal(so_far.boxes, whole.boxes)
    np.testing.assert_array_equal(so_far.labels, whole.labels)


def test_it_grows_on_after_it_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    growing = GrowingLog(path, image_count=10)
    half = TEXT.index("}") + 1
    path.write_text(TEXT[:half])
    growing.update()
    before = growing.so_far()
    path.write_text(TEXT)
    growing.update()
    assert before.images.tolist() == [5]
    assert before.labels.tolist() == [1]
    assert growing.so_far().labels.tolist() == [1, 17]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text("[" + record(0, 5, PAYLOADS[0][1]) + "," + record(1, 11, ""))
    with pytest.raises(LogError, match="record 2 names image 11"):
        GrowingLog(path, image_count=10).update()
