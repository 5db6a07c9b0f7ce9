"""``ssd-harness doctor model``: what is printed of a diagnosis, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from harness.commands import doctor_model
from harness.doctor.cause import Cause
from harness.doctor.model_examination import Check, ModelDiagnosis
from harness.model.probing import OutputTraces

TRACES = OutputTraces(background=0.98, entropy=0.03, confident=7, size_ratio=1.2, agreement=0.8, inside=1.0)
BYTES = Check("normalisation", "not applicable", "the model takes bytes: its normalisation is inside")
FINE = Check("class layout", "ok", "background 98.0 % of the softmax")


def last_line(
    checks: tuple[Check, ...],
    causes: tuple[Cause, ...],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """What the command prints below the table for a model with this diagnosis."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    model, image = tmp_path / "model.onnx", tmp_path / "images" / "a.jpg"
    image.parent.mkdir()
    model.touch()
    image.touch()
    diagnosis = ModelDiagnosis(checks, causes, None, TRACES, 1)
    monkeypatch.setattr(doctor_model, "examine", lambda *args: diagnosis)
    assert main(["doctor", "model", "--model", str(model), "--images", str(image.parent)]) == status
    return capsys.readouterr().out.rstrip().splitlines()[-1].strip()


def test_missing_evidence_is_not_called_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # the evidence speaks of what is inside the image, which once was taken for a normalisation inside the model
    unknown = Check("box layout", "unknown", "other ways do as well on these images; boxes 100 % inside the image")
    line = last_line((BYTES, FINE, unknown), (), 0, tmp_path, monkeypatch, capsys)
    assert line == "nothing wrong that these images could show"


def test_nothing_wrong_is_said_where_everything_that_applies_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert last_line((BYTES, FINE), (), 0, tmp_path, monkeypatch, capsys) == "nothing wrong"


def test_a_cause_is_printed_with_its_evidence_and_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cause = Cause("bgr", "the model takes BGR", "0.1 as it is, 0.5 in the other way", "exchange the channels")
    assert last_line((BYTES, FINE), (cause,), 1, tmp_path, monkeypatch, capsys) == "next: exchange the channels"
