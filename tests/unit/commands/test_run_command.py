"""What `ssd-harness run` says of options and settings that have no effect."""

from __future__ import annotations

import argparse

import pytest

from harness.commands import run


def notes(*words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    args = parser.parse_args(["smoke", *words])
    return run._ignored(args, run.load_settings(args, run._overrides(args)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "my.onnx"], "note: --model my.onnx is not used: a simulated device runs no model"),
        (
            ["--mode", "accuracy", "--queries", "9"],
            "note: --queries is not used: an accuracy test has every image once",
        ),
        (
            ["--mode", "accuracy", "--repeat", "3"],
            "note: --repeat is not used: --mode accuracy makes each of its tests",
        ),
        (
            ["--backend", "onnxruntime", "--model", "my.onnx", "--set", "model.precision=float32"],
            "note: model.precision is not used: it is of the built-in model",
        ),
        (
            ["--images", "x", "--annotations", "y", "--set", "dataset.synthetic.images=8"],
            "note: dataset.synthetic.images is not used: the images are those of --images",
        ),
        (
            ["--scenario", "offline", "--set", "tests.Single-Stream.min_queries=9"],
            "note: tests.Single-Stream.min_queries is not used: SingleStream is not among the scenarios",
        ),
    ],
)
def test_what_has_no_effect_is_told(words: list[str], said: str) -> None:
    [note] = notes(*words)
    assert note.startswith(said)


def test_what_has_an_effect_is_not_told() -> None:
    assert notes("--duration", "1", "--queries", "9", "--repeat", "2", "--set", "tests.offline.expected_qps=9") == []
