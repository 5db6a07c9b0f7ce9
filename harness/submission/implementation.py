"""What a submission's measurements say of the implementation: its JSON fields and its README."""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import Round
from harness.scenarios import Scenario
from harness.submission.accuracy_log import stated_hash
from harness.submission.path_pattern import fill
from harness.submission.rules.accuracy import TXT
from harness.submission.rules.checksums import checksum_lines
from harness.submission.rules.loadgen_test import ACCURACY
from harness.submission.run_source import RunSource

_TYPES = {"float": "fp32", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""ONNX's names → MLPerf's."""
ROUND_SENTENCE = r"^MLPerf Inference (\S+), (?:closed|open) division, submitted by "
"""The line of a README.md that says the round."""


def implementation_of(source: RunSource) -> dict[str, str]:
    """The fields of the measurements' JSON, as far as a run knows them."""
    model = source.manifest.model
    path = None if model.path is None else Path(model.path)
    inputs, weights = ("uint8", "") if path is None else _onnx_types(path)
    if path is None:
        return {
            "input_data_types": inputs,
            "retraining": "N",
            "starting_weights_filename": "none: the devices are simulated",
            "weight_data_types": "none",
            "weight_transformations": "none: the devices are simulated",
        }
    default = "trained on synthetic images, not on COCO; " if model.default else ""
    quantized = "quantized after training, calibrated" if weights == "int8" else "none"
    return {
        "input_data_types": inputs,
        "retraining": "N",
        "starting_weights_filename": path.name,
        "weight_data_types": weights,
        "weight_transformations": f"{default}{quantized}",
    }


def readme(
    source: RunSource, round_: Round, scenario: Scenario, run_scenario: Scenario, root: Path, folders: list[Path]
) -> str:
    """README.md of the measurements of a scenario.

    Args:
        root: the submitter's folder in the tree.
        folders: of the tree with the files of the result.
    """
    manifest = source.manifest
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    lines = [
        f"# {source.benchmark}, {LOADGEN_SCENARIOS[scenario]}, on {source.system['system_name']}",
        "",
        *(f"**{reason}: this is no result.**\n" for reason in source.not_real),
        # as ROUND_SENTENCE finds it again
        f"MLPerf Inference {round_.round}, {source.division} division, submitted by {source.submitter}.",
        "",
    ]
    if scenario != run_scenario:
        origin = LOADGEN_SCENARIOS[run_scenario]
        lines += [f"{LOADGEN_SCENARIOS[scenario]} was not run: its result is inferred from {origin}.", ""]
    names = {"benchmark": source.benchmark, "implementation": source.implementation}
    code = fill(round_.submission.tree.code.path, **names)
    command = shlex.join(["ssd-harness", *manifest.command[1:]])
    lines += [
        f"Backend: {manifest.backend.name}. {versions}.",
        f"Model: {_model(source)}. Dataset: {manifest.dataset.images} images, index sha256"
        f" `{manifest.dataset.sha256}`.",
        "",
        f"The code is in `{code}/`. To run it again, there:",
        "",
        "```",
        "scripts/install",
        f".venv/bin/{command}",
        "```",
        "",
        *checksum_lines(root, folders, _whole_logs(root, folders)),
    ]
    return "\n".join(lines) + "\n"


def _whole_logs(root: Path, folders: list[Path]) -> dict[str, str]:
    """Path of each accuracy log → the sha256 that its accuracy.txt states."""
    found = {}
    for path in sorted(path for folder in folders for path in folder.rglob(TXT)):
        sha256 = stated_hash(path.read_text(encoding="utf-8"))
        if sha256 is not None:
            found[(path.parent / ACCURACY).relative_to(root).as_posix()] = sha256
    return found


def _model(source: RunSource) -> str:
    model = source.manifest.model
    if model.path is None:
        return "none, canned outputs"
    return f"`{Path(model.path).name}`, sha256 `{model.sha256}`"


def _onnx_types(path: Path) -> tuple[str, str]:
    """Data types of the inputs and of most weights of an ONNX model; "unknown" for another or a missing file."""
    from harness.errors import ModelError
    from harness.quantization.onnx_file import load, specs, weight_type

    try:
        model = load(path, check=False)
    except ModelError:
        return "unknown", "unknown"
    inputs = ", ".join(dict.fromkeys(_TYPES.get(spec.dtype, spec.dtype) for spec in specs(model)[0]))
    weights = weight_type(model)
    return inputs, _TYPES.get(weights, weights)
