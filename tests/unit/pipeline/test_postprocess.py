"""Answers of the decode pool are those of the inline way and of Python, byte for byte; and so is what goes wrong."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from harness.model.registry import load_model
from harness.pipeline.counters import COLUMNS
from harness.pipeline.postprocess import REHEARSAL, Answer, DecodeSetup, Failure
from harness.pipeline.postprocessors import NativePostprocess, PythonPostprocess
from harness.pipeline.pulse import Pulse
from harness.records import Detections

MODEL = load_model("ssd_resnet34")
CASES: list[dict[str, Any]] = [
    {"quantized": True},
    {"quantized": True, "tiled": True},
    {"quantized": False},
]


def setup(kind: str, **more: Any) -> DecodeSetup:
    decoder: Any = MODEL.decoder(kind)  # type: ignore[arg-type]
    decode = functools.partial(decoder.decode, **asdict(MODEL.decoding))
    return DecodeSetup(decode, MODEL.decoding, getattr(decoder, "image_decoder", None), **more)


def native(*, inline: bool = False, batches: bool = False, every_value: bool = False, **more: Any) -> NativePostprocess:
    return NativePostprocess(
        setup("native", **more), Pulse(2), 2, inline=inline, batches=batches, every_value=every_value
    )


def python(kind: str = "numpy", **more: Any) -> PythonPostprocess:
    return PythonPostprocess(setup(kind, **more), Pulse(2), 2, batches=False, every_value=False)


def content(answer: Answer) -> tuple[int, bytes]:
    sample_id, address, size = answer
    return sample_id, ctypes.string_at(address, size)


def collected(postprocess: Any, count: int) -> tuple[dict[int, bytes], list[Failure]]:
    """All that was posted, once it is done."""
    answers: dict[int, bytes] = {}
    failures: list[Failure] = []
    while len(answers) + len(failures) < count:
        postprocess.mailbox.get(1.0, 0)
        done: Sequence[Answer]
        done, failed = postprocess.collect()
        answers |= dict(map(content, done))
        failures += failed
        postprocess.answered()
    return answers, failures


@functools.cache
def examples() -> list[Any]:
    return [MODEL.example_outputs(seed, **case) for seed in range(20) for case in CASES]


@pytest.mark.parametrize("label_ids", [None, tuple(range(101, 181))])
@pytest.mark.parametrize("batches", [False, True])
def test_the_pools_answers_are_those_of_the_inline_way_and_of_python(
    batches: bool, label_ids: tuple[int, ...] | None
) -> None:
    outputs = examples()
    pool, inline = native(batches=batches, label_ids=label_ids), native(inline=True, label_ids=label_ids)
    in_python = python("native", label_ids=label_ids)
    for k, raw in enumerate(outputs):
        pool.post(k % 2, 1000 + k, k, 1, 2, 3, raw)
    answers, failures = collected(pool, len(outputs))
    assert not failures
    assert sum(map(len, answers.values())) > 0
    for k, raw in enumerate(outputs):
        for other in (inline, in_python):
            assert content(other.finish(k % 2, 1000 + k, k, 1, 2, 3, raw)) == (1000 + k, answers[1000 + k])
            other.answered()
    for postprocess in (pool, inline, in_python):
        for lane in range(2):
            records = postprocess.records(lane)
            assert sorted(records[:, 1].tolist()) == list(range(lane, len(outputs), 2))
            assert records.shape[1] == len(COLUMNS)
            assert (np.diff(records[:, 2:], axis=1) >= 0).all()
        postprocess.close()


@pytest.mark.parametrize("make", [native, python])
def test_outputs_that_were_decoded_where_the_inference_was_need_not_hold_until_they_are_posted(make: Any) -> None:
    postprocess, expected = make(), native(inline=True)
    raw: list[Any] = [output.copy() for output in MODEL.example_outputs(3, quantized=False)]
    wanted = content(expected.finish(0, 1, 6, 1, 2, 3, raw))
    decoded = postprocess.prepare(raw, 6)
    assert isinstance(decoded, postprocess.decoded)
    assert decoded.outputs is raw
    for output in raw:
        output[:] = 0  # what the session's next image does
    assert postprocess.pending == 0
    postprocess.post(1, 1, 6, 1, 2, 3, decoded)
    assert postprocess.pending == 1
    answers, failures = collected(postprocess, 1)
    assert (answers, failures) == ({wanted[0]: wanted[1]}, [])
    (record,) = postprocess.records(1)
    assert record[:5].tolist() == [1, 6, 1, 2, 3]
    assert 3 < record[5] <= record[6] == decoded.decoded_ns <= record[7]


def test_decoded_outputs_are_posted_once_and_to_a_session_that_there_is() -> None:
    pool = native()
    decoded = pool.prepare(MODEL.example_outputs(0, quantized=False), 6)
    with pytest.raises(IndexError, match="no such session"):
        pool.post(2, 1, 6, 1, 2, 3, decoded)
    pool.post(0, 1, 6, 1, 2, 3, decoded)
    with pytest.raises(ValueError, match="posted before"):
        pool.post(0, 1, 6, 1, 2, 3, decoded)
    assert pool.pending == 1


def test_numpys_answers_are_the_native_ones() -> None:
    first, second = native(inline=True), python()
    for seed in range(5):
        raw = MODEL.example_outputs(seed, quantized=True)
        ids, data = zip(*(content(way.finish(0, 1, seed, 1, 2, 3, raw)) for way in (first, second)), strict=True)
        assert ids == (1, 1)
        rows = [np.frombuffer(each, "<f4").reshape(-1, 7) for each in data]
        np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)


def test_outputs_that_are_refused_are_explained_as_the_decoder_does() -> None:
    raw: list[Any] = list(MODEL.example_outputs(0, quantized=False))
    raw[3] = raw[3].astype(np.float64)
    with pytest.raises(ValueError, match="float64"):
        native().post(0, 1, 1, 1, 2, 3, raw)
    with pytest.raises(IndexError, match="no such session"):
        native().post(2, 1, 1, 1, 2, 3, MODEL.example_outputs(0, quantized=False))


@pytest.mark.parametrize(("place", "every_value", "found"), [(0, False, True), (7, False, False), (7, True, True)])
@pytest.mark.parametrize(("value", "prepared"), [(np.nan, False), (np.inf, False), (-np.inf, False), (np.nan, True)])
def test_nan_and_infinity_fail_the_sample(
    place: int, every_value: bool, found: bool, value: float, prepared: bool
) -> None:
    raw: list[Any] = [output.copy() for output in MODEL.example_outputs(0, quantized=False)]
    raw[8].reshape(-1)[place] = value
    pool = native(every_value=every_value)
    pool.post(1, 5, 6, 7, 8, 9, pool.prepare(raw, 6) if prepared else raw)
    answers, failures = collected(pool, 1)
    assert bool(answers) is not found
    assert failures == ([Failure(1, 5, 6, 7, "output 8 has NaN or infinity in it")] if found else [])
    assert len(pool.records(1)) == int(not found)
    if found:
        with pytest.raises(ValueError, match="output 8 has NaN or infinity in it"):
            native(inline=True, every_value=every_value).finish(1, 5, 6, 7, 8, 9, raw)


def test_a_rehearsal_is_answered_to_nobody_and_nothing_decoded_is_an_empty_answer() -> None:
    raw = MODEL.example_outputs(0, quantized=True)
    for way in (native(inline=True), python()):
        way.finish(REHEARSAL, REHEARSAL, 0, 0, 0, 0, raw)
        assert way.collect() == ([], []) or way.collect() == ([], ())
        way.answered()
        assert len(way.records(0)) == 0
    nothing = NativePostprocess(
        DecodeSetup(None, MODEL.decoding), Pulse(1), 1, inline=False, batches=False, every_value=False
    )
    nothing.post(0, 5, 6, 7, 8, 9, raw)
    [(sample_id, _, size)], _ = nothing.collect()
    assert (sample_id, size) == (5, 0)


def test_a_letterboxing_model_is_told_the_size_of_the_image() -> None:
    seen = []

    def decode(outputs: Any, *, image_size: tuple[int, int]) -> Detections:
        seen.append(image_size)
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))

    sizes = ((640, 480), (320, 200))
    way = PythonPostprocess(
        DecodeSetup(decode, MODEL.decoding, image_sizes=sizes), Pulse(1), 1, batches=False, every_value=False
    )
    way.post(0, 1, 1, 1, 2, 3, [])
    way.post(0, 2, 0, 1, 2, 3, [])
    assert seen == [(320, 200), (640, 480)]
