"""Whose a run is, and what it is of: from its manifest, or from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from harness.errors import UsageError
from harness.settings import configs_dir
from harness.submission.implementation import implementation_of
from harness.submission.run_source import by_scenario, read_run
from tests.support.made_runs import made_manifest, made_summary

SYSTEM = configs_dir() / "systems" / "simulated.json"


def run_in(folder: Path, **changes: Any) -> Path:
    """A finished run that was no submission."""
    manifest = made_manifest(backend={"name": "my npu", "simulated": False})
    manifest["dataset"] |= {"synthetic": False, "images": 5000}
    for part, value in changes.items():
        manifest[part] = manifest[part] | value
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "summary.json").write_text(json.dumps(made_summary()))
    return folder


def test_a_run_that_does_not_say_whose_it_is_needs_to_be_told(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    with pytest.raises(UsageError, match="the run does not say whose it is"):
        read_run(run, {}, None)
    source, round_ = read_run(run, {"submitter": "Org", "division": "open"}, SYSTEM)
    assert (source.division, source.submitter, source.system_id, source.implementation) == (
        "open",
        "Org",
        "simulated",
        "my-npu",
    )
    assert (source.system["division"], source.system["submitter"], round_.round) == ("open", "Org", "v2.0")
    # a real run of the whole dataset has nothing to confess
    assert source.not_real == ()
    assert source.system["system_name"] == "Simulated devices (no real hardware)"


def test_what_is_not_real_is_in_the_description(tmp_path: Path) -> None:
    backend = {"name": "simulated", "simulated": True}
    dataset = {"synthetic": True, "images": 64, "sha256": "0"}
    run = run_in(tmp_path / "run", backend=backend, dataset=dataset)
    description = json.loads(SYSTEM.read_text()) | {"system_name": "NPU", "hw_notes": "water-cooled"}
    (tmp_path / "npu.json").write_text(json.dumps(description))
    system = read_run(run, {"submitter": "Org", "division": "closed"}, tmp_path / "npu.json")[0].system
    assert system["system_name"] == "NPU (simulated)"
    assert system["hw_notes"] == "the devices are SIMULATED; the dataset is SYNTHETIC: no result. water-cooled"


def test_names_that_cannot_be_folders_are_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    with pytest.raises(UsageError, match=r"submitter '\.\./Org' cannot be a folder's name"):
        read_run(run, {"submitter": "../Org", "division": "open"}, SYSTEM)


def test_a_run_without_a_performance_test_is_refused(tmp_path: Path) -> None:
    source, round_ = read_run(run_in(tmp_path / "run"), {"submitter": "Org", "division": "open"}, SYSTEM)
    with pytest.raises(UsageError, match="no performance test in the runs"):
        by_scenario([source], round_)


def test_runs_of_two_submitters_are_refused(tmp_path: Path) -> None:
    one, round_ = read_run(run_in(tmp_path / "one"), {"submitter": "One", "division": "open"}, SYSTEM)
    other, _ = read_run(run_in(tmp_path / "other"), {"submitter": "Other", "division": "open"}, SYSTEM)
    with pytest.raises(UsageError, match="the runs are of open/One and open/Other"):
        by_scenario([one, other], round_)


def test_the_measurements_say_what_is_in_the_model_file(tmp_path: Path) -> None:
    weights = [
        helper.make_tensor("w", TensorProto.INT8, [100], bytes(100), raw=True),
        helper.make_tensor("scale", TensorProto.FLOAT, [1], [0.5]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1])
    graph = helper.make_graph([], "g", [image], [image], weights)
    onnx.save(helper.make_model(graph), tmp_path / "my.onnx")
    model = {"benchmark": "ssd-resnet34", "path": str(tmp_path / "my.onnx"), "default": False, "sha256": "0"}
    overrides = {"submitter": "Org", "division": "open"}
    source = read_run(run_in(tmp_path / "run", model=model), overrides, SYSTEM)[0]
    assert implementation_of(source) == {
        "input_data_types": "uint8",
        "retraining": "N",
        "starting_weights_filename": "my.onnx",
        "weight_data_types": "int8",
        "weight_transformations": "quantized after training, calibrated",
    }
    (tmp_path / "my.onnx").unlink()
    assert implementation_of(source)["weight_data_types"] == "unknown"
