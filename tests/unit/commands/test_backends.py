from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli
from tests.support import fake_furiosa
from tests.support.onnx_models import write_model

Capture = pytest.CaptureFixture[str]


def test_the_table_has_every_backend_with_its_devices_or_what_is_missing(capsys: Capture) -> None:
    with fake_furiosa.without_driver():
        assert cli.main(["backends"]) == 0
    shown = capsys.readouterr().out
    assert "libfuriosa_hal.so" in shown
    assert "next: install FuriosaAI's driver" in shown
    (line,) = (line for line in shown.splitlines() if "onnxruntime" in line)
    assert "yes" in line
    assert "cpu" in line


def test_the_list_as_json(capsys: Capture) -> None:
    with fake_furiosa.installed(fake_furiosa.Machine()):
        assert cli.main(["backends", "--json"]) == 0
    backends = {info["name"]: info for info in json.loads(capsys.readouterr().out)}
    assert backends["furiosa"]["version"] == "0.10.2-release (rev: d51ae81)"
    assert backends["onnxruntime"]["devices"][-1] == "cpu"
    assert backends["simulated"]["simulated"] is True


def test_a_check_prints_a_line_each_and_ends_well(tmp_path: Path, capsys: Capture) -> None:
    model = write_model(tmp_path / "tiny.onnx")
    assert cli.main(["backends", "check", "onnxruntime", "--model", str(model), "--set", "arena=false"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    skipped = [line for line in lines if line.startswith("[SKIP]")]
    assert all(line.endswith("it has no submit") for line in skipped)  # the contract of asynchronous sessions
    passed = shown.out.count("[PASS]")
    assert passed == len(lines) - len(skipped) - 1 > 10
    assert lines[-1] == f"{len(lines) - 1} checks: {passed} passed, 0 failed, {len(skipped)} skipped"
    assert f"onnxruntime on cpu, model {model}" in shown.err


def test_a_failed_check_is_status_1_and_is_in_the_json(capsys: Capture) -> None:
    assert cli.main(["backends", "check", "tests.support.faulty_backend"]) == 1
    assert "[FAIL] A session may be closed twice" in capsys.readouterr().out
    assert cli.main(["backends", "check", "tests.support.faulty_backend", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["backend"], document["passed"]) == ("tests.support.faulty_backend", False)
    [failed] = [each for each in document["checks"] if "closed twice" in each["check"]]
    assert failed["status"] == "FAIL"


def test_json_before_the_action_holds_for_the_action(tmp_path: Path, capsys: Capture) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    assert cli.main(["backends", "--json", str(before), "check", "simulated"]) == 0
    assert cli.main(["backends", "check", "simulated", "--json", str(after)]) == 0
    assert "[PASS]" in capsys.readouterr().out
    assert json.loads(before.read_text()) == json.loads(after.read_text())


def test_options_without_effect_are_told(capsys: Capture) -> None:
    assert cli.main(["backends", "check", "simulated", "--precision", "float32"]) == 0
    assert "note: --precision is not used: a simulated device runs no model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["opnvino"], 2, "did you mean 'openvino'?"),
        (["simulated", "--set", "arena"], 2, "expected KEY=VALUE, found 'arena'"),
        (["no.such_module"], 3, "its runtime cannot be imported: No module named 'no'"),
        (["onnxruntime"], 3, "absent.onnx: no such model"),
    ],
)
def test_what_cannot_be_checked_is_an_error(arguments: list[str], status: int, message: str, capsys: Capture) -> None:
    assert cli.main(["backends", "check", *arguments, "--model", "absent.onnx"]) == status
    assert message in capsys.readouterr().err
