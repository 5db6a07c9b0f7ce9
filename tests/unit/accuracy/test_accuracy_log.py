"""Reading accuracy logs, and refusing damaged ones."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.accuracy import log as log_module
from harness.accuracy.log import read_accuracy_log
from harness.accuracy_record import encode_detections
from harness.errors import LogError
from harness.records import Detections
from tests.support.made_logs import log_text, record, rows

ONE = rows(5, (0.1, 0.2, 0.3, 0.4, 0.9, 1), (0.5, 0.5, 0.75, 0.75, 0.25, 80))
TWO = rows(2, (0.0, 0.0, 1.0, 1.0, 0.5, 17))
TEXT = log_text([(5, ONE), (9, rows(9)), (2, TWO)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mlperf_log_accuracy.json"


def refused(path: Path, content: str | bytes, *, image_count: int | None = None) -> LogError:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LogError) as caught:
        read_accuracy_log(path, image_count=image_count)
    assert caught.value.where == str(path)
    return caught.value


def test_a_log_is_its_images_and_their_boxes(path: Path) -> None:
    path.write_text(TEXT)
    log = read_accuracy_log(path, image_count=10)
    assert log.images.tolist() == [5, 9, 2]
    assert log.sequence.tolist() == [0, 1, 2]
    assert log.qsl_idx.tolist() == [5, 5, 2]
    assert log.labels.tolist() == [1, 80, 17]
    np.testing.assert_array_equal(log.scores, np.array([0.9, 0.25, 0.5], np.float32))
    np.testing.assert_array_equal(log.boxes, np.concatenate([ONE, TWO])[:, 1:5])
    assert len(log) == 3
    assert log.repeated == 0
    assert log.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


def test_the_layout_of_the_json_does_not_matter(path: Path) -> None:
    path.write_text(json.dumps(json.loads(TEXT), indent=2, sort_keys=True))  # as v0.5's CK wrote it
    assert read_accuracy_log(path).labels.tolist() == [1, 80, 17]


def test_a_gzipped_log_is_the_same_log_whatever_it_is_called(path: Path) -> None:
    path.write_bytes(gzip.compress(TEXT.encode()))
    log = read_accuracy_log(path)
    assert log.images.tolist() == [5, 9, 2]
    assert log.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 250])
def test_records_may_lie_across_the_pieces_in_which_the_file_is_read(
    path: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_CHUNK_BYTES", chunk_bytes)
    path.write_text(TEXT)
    assert read_accuracy_log(path).labels.tolist() == [1, 80, 17]


def test_a_log_without_records_has_no_images(path: Path) -> None:
    path.write_text("[\n]\n")
    log = read_accuracy_log(path)
    assert len(log) == len(log.images) == len(log.sequence) == 0


def test_an_image_recorded_again_with_the_same_detections_is_counted_once(path: Path) -> None:
    path.write_text(log_text([(5, ONE), (2, TWO), (5, ONE), (5, ONE)]))
    log = read_accuracy_log(path)
    assert log.images.tolist() == [5, 2]
    assert log.repeated == 2
    assert len(log) == 3


def test_an_image_recorded_again_with_other_detections_is_refused(path: Path) -> None:
    error = refused(path, log_text([(5, ONE), (2, TWO), (5, ONE[:1])]))
    assert error.what == "record 3 repeats image 5 of record 1 with other detections"


DAMAGES = {
    "an odd hexadecimal digit": (record(1, 2, "0G" + "00" * 27), "'G' among its hexadecimal digits, at 1"),
    "a blank between digits": (record(1, 2, "00 0" + "00" * 26), "' ' among its hexadecimal digits"),
    "a digit lost": (record(1, 2, TWO.tobytes().hex()[:-1]), "holds 55 hexadecimal digits"),
    "a float lost": (record(1, 2, TWO.tobytes().hex()[:-8]), "holds 48 hexadecimal digits"),
    "a NaN coordinate": (record(1, 2, rows(2, (0, float("nan"), 1, 1, 0.5, 1))), "not a finite number"),
    "an infinite score": (record(1, 2, rows(2, (0, 0, 1, 1, float("inf"), 1))), "not a finite number"),
    "a label between two": (record(1, 2, rows(2, (0, 0, 1, 1, 0.5, 1.5))), "a label that is no whole number"),
    "another record's detections": (record(1, 2, rows(3, (0, 0, 1, 1, 0.5, 1))), "own qsl_idx is not the record's"),
    "a negative image": (record(1, -1, ""), "has '-1' as 'qsl_idx'"),
    "an image that is no number": ('{"seq_id": 1, "qsl_idx": "2", "data": ""}', "as 'qsl_idx'"),
    "an image that is a truth value": ('{"seq_id": 1, "qsl_idx": true, "data": ""}', "has 'True' as 'qsl_idx'"),
    "no image": ('{"seq_id": 1, "data": ""}', "has no 'qsl_idx'"),
    "no sequence number": ('{"qsl_idx": 2, "data": ""}', "has no 'seq_id'"),
    "no data": ('{"seq_id": 1, "qsl_idx": 2}', "has no 'data'"),
    "data that are null": ('{"seq_id": 1, "qsl_idx": 2, "data": null}', "has no 'data'"),
    "an image beyond the dataset": (record(1, 10, ""), "names image 10, but the dataset's images are 0..9"),
    "an image beyond all numbers": (record(1, 10**30, ""), "as 'qsl_idx'"),
    "a key that is there twice": ('{"seq_id": 1, "qsl_idx": 2, "qsl_idx": 3, "data": ""}', "a key is there twice"),
    "bytes that are no text": (b'{"seq_id": 1, "qsl_idx": 2, "data": "\xff"}', "is not JSON"),
    "half a record": ('{"seq_id": 1, "qsl_idx": }', "is not JSON"),
    "something else": ("null", "should begin where the log has 'null"),
}


@pytest.mark.parametrize(("damaged", "message"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_record_is_named_by_its_number(path: Path, damaged: str | bytes, message: str) -> None:
    middle = damaged if isinstance(damaged, bytes) else damaged.encode()
    content = b"[" + b",".join([record(0, 5, ONE).encode(), middle, record(2, 9, "").encode()]) + b"]"
    error = refused(path, content, image_count=10)
    assert error.what.startswith("record 2 ")
    assert message in error.what


def test_a_damaged_record_after_repeated_images_is_named_by_its_own_number(path: Path) -> None:
    error = refused(path, log_text([(5, ONE), (5, ONE), (9, rows(9)), (2, rows(2, (0, 0, 1, 1, float("nan"), 1)))]))
    assert error.what.startswith("record 4 ")


@pytest.mark.parametrize("content", ["", " \n", "{}", '"text"', "no JSON", '{"images": []}', "\x00\x01", "[[1]]"])
def test_what_is_no_accuracy_log_is_refused(path: Path, content: str) -> None:
    assert "record 1 " in refused(path, content).what


@pytest.mark.parametrize("more", ["]", "[]", "{}", "x"])
def test_more_after_the_end_is_refused(path: Path, more: str) -> None:
    assert "record 4 comes after the log's end" in refused(path, TEXT + more).what


def test_a_log_cut_anywhere_is_refused(path: Path) -> None:
    end = TEXT.rindex("]")
    for length in range(end + 1):
        error = refused(path, TEXT[:length])
        assert "record " in error.what


def test_a_gzipped_log_cut_anywhere_is_refused(path: Path) -> None:
    packed = gzip.compress(TEXT.encode())
    for length in range(len(packed)):
        assert "record " in refused(path, packed[:length]).what


def test_the_records_before_a_gzip_files_cut_are_counted(path: Path) -> None:
    rng = np.random.default_rng(0)
    found = rng.random((100, 500, 7)).astype("<f4")
    for i, each in enumerate(found):
        each[:, 0], each[:, 6] = i, 1
    packed = gzip.compress(log_text(list(enumerate(found))).encode())
    number = int(refused(path, packed[: len(packed) // 2]).what.split()[1])
    assert 45 <= number <= 51


def test_a_log_shortened_for_a_submission_is_refused_and_says_so(path: Path) -> None:
    error = refused(path, TEXT[:150] + "\n\n...\n\n" + TEXT[-150:])
    assert error.hint is not None
    assert "untruncated" in error.hint


# exactly a detection's digits may be lost from the middle of two, and nothing in the log can tell
@given(begin=st.integers(0, len(TEXT) - 3), length=st.integers(1, 200).filter(lambda length: length % 56))
def test_a_log_with_a_piece_lost_is_refused_or_reads_as_whole_detections(
    tmp_path_factory: pytest.TempPathFactory, begin: int, length: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.json"
    path.write_text(TEXT[:begin] + TEXT[begin + length :])
    try:
        log = read_accuracy_log(path)
    except LogError as error:
        assert "record " in error.what
    else:  # blanks or whole records were lost, which only the dataset can tell
        known = [row.tobytes().hex() for row in np.concatenate([ONE, TWO])]
        found = np.column_stack([log.qsl_idx, log.boxes, log.scores, log.labels]).astype(np.float32)
        for row in (record_bytes.tobytes().hex() for record_bytes in found):
            # or from the middle of one detection to the same place in another: the beginning of one, the end of another
            assert any(
                row[:k] in {other[:k] for other in known} and row[k:] in {other[k:] for other in known}
                for k in range(57)
            )


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_log_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LogError, match="cannot be read"):
        read_accuracy_log(tmp_path / name)


@given(seed=st.integers(0, 2**32 - 1), counts=st.lists(st.integers(0, 5), max_size=6))
def test_what_the_loadgen_edge_encodes_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int, counts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    found = [
        Detections(
            boxes=rng.uniform(-0.1, 1.1, (count, 4)).astype(np.float32),
            scores=-np.sort(-rng.uniform(0.05, 1, count)).astype(np.float32),
            labels=rng.integers(1, 81, count).astype(np.int32),
        )
        for count in counts
    ]
    indices = rng.choice(2**24, len(counts), replace=False).tolist()
    path = tmp_path_factory.mktemp("log") / "log.json"
    payloads = [encode_detections(index, each) for index, each in zip(indices, found, strict=True)]
    path.write_text(log_text(list(zip(indices, payloads, strict=True))))
    log = read_accuracy_log(path, image_count=2**24)
    assert log.images.tolist() == indices
    for index, each in zip(indices, found, strict=True):
        mine = log.qsl_idx == index
        np.testing.assert_array_equal(log.boxes[mine][:, [1, 0, 3, 2]], each.boxes)
        np.testing.assert_array_equal(log.scores[mine], each.scores)
        np.testing.assert_array_equal(log.labels[mine], each.labels)
