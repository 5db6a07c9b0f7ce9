"""Errors say what, where and what next, and own their exit status."""

from __future__ import annotations

from harness import errors


def test_an_error_says_what_where_and_what_to_do_next() -> None:
    error = errors.DatasetError("is truncated", where="images/1.jpg", hint="fetch it again")
    assert str(error) == "images/1.jpg: is truncated\n  next: fetch it again"


def test_a_librarys_error_takes_one_line() -> None:
    told = RuntimeError("CUDA error: capture failed\nSearch for it in the manual\n")
    assert errors.first_line(told) == "CUDA error: capture failed"
    assert errors.named_line(told) == "RuntimeError: CUDA error: capture failed"
    assert errors.first_line(KeyError()) == errors.named_line(KeyError()) == "KeyError"
    assert len(errors.first_line(ValueError("x" * 1000))) == errors.LONGEST_LINE


def test_exit_statuses_are_those_of_the_contract() -> None:
    statuses = {
        errors.UsageError: 2,
        errors.DatasetError: 3,
        errors.ModelError: 3,
        errors.LogError: 3,
        errors.BackendError: 3,
        errors.RunFailed: 4,
        errors.SampleFailed: 4,
        errors.Stalled: 4,
        errors.Interrupted: 130,
    }
    assert {kind: kind.exit_status for kind in statuses} == statuses
