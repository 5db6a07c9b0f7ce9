"""`prepare model` extracts, calibrates and quantizes, says what it did, and leaves nothing half-made."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml

from harness import SSDResNet34
from harness.commands import prepare, prepare_model
from harness.dataset.scene import GENERATOR_VERSION
from harness.errors import DataError, DatasetError, ModelError, UsageError
from harness.model.ssd_resnet34.raw_outputs import as_float32
from harness.records import QuantizedTensor
from tests.support.published_models import pytorch_export, small_trunk


def prepare_a_model(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    return prepare.run(parser.parse_args(["model", *map(str, arguments)]))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float32 model with the twelve raw outputs."""
    path = tmp_path_factory.mktemp("raw") / "raw.onnx"
    onnx.save(onnx.version_converter.convert_version(small_trunk(batch_norm=True), 17), path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four small pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for k in range(4):
        noise = np.random.default_rng(k).integers(0, 256, (20, 30, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{k}.png"), noise)
    return folder


@pytest.fixture(scope="module")
def ranges(raw: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranges")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSD_HARNESS_CACHE", str(folder / "cache"))
        prepare_a_model("--calibrate", raw, "--images", pictures, "--ranges", folder / "ranges.yaml")
    return folder / "ranges.yaml"


def test_the_way_from_a_published_model_to_int8(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(pytorch_export(small_trunk(batch_norm=True), free_batch=True), tmp_path / "published.onnx")
    raw, ranges, int8 = (tmp_path / name for name in ("raw.onnx", "ranges.yaml", "int8.onnx"))

    assert prepare_a_model("--extract", tmp_path / "published.onnx", "--output", raw) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "class_0 (1, 324, 50, 50) from Conv_14"
    assert lines[12] == "the free dimensions of the input are fixed: (1, 3, 1200, 1200)"
    assert lines[-1].startswith(f"{raw}, 0.8 MB (sha256 ")

    assert prepare_a_model("--calibrate", raw, "--images", pictures, "--ranges", ranges) == 0
    shown = capsys.readouterr()
    assert shown.out == f"25 ranges by minmax over 4 images (4 new) in {ranges}\n"
    assert "Calibrating: done in" in shown.err

    assert prepare_a_model("--quantize", raw, "--ranges", ranges, "--output", int8) == 0
    assert "MB (sha256" in (out := capsys.readouterr().out)
    assert out.endswith(": uint8 in, int8 out, minmax over 4 images\n")

    model = SSDResNet34.load()
    paths = sorted(pictures.iterdir())[:1]
    with model.session(int8, threads=1) as session:
        quantized = session.run(model.preprocess(paths)[0])
    with model.session(raw, threads=1) as session:
        exact = session.run(model.preprocess(paths, with_scaling=True)[0])
    for spec, found, expected in zip(model.outputs, quantized, exact, strict=True):
        assert isinstance(found, QuantizedTensor)
        error = np.abs(as_float32(found, spec).ravel() - expected.ravel())
        assert error.mean() < 0.02 * np.ptp(np.asarray(expected)), spec.name


def test_float_outputs_stay_float(raw: Path, ranges: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare_a_model("--quantize", raw, "--ranges", ranges, "--output", tmp_path / "int8.onnx", "--float-outputs")
    assert "uint8 in, float32 out" in capsys.readouterr().out
    session = ort.InferenceSession(str(tmp_path / "int8.onnx"), providers=["CPUExecutionProvider"])
    assert {o.type for o in session.get_outputs()} == {"tensor(float)"}
    assert session.get_inputs()[0].type == "tensor(uint8)"


def test_batch_normalisation_is_inside_the_integer_convolutions(raw: Path, ranges: Path, tmp_path: Path) -> None:
    assert "BatchNormalization" in {node.op_type for node in onnx.load(raw).graph.node}
    prepare_a_model("--quantize", raw, "--ranges", ranges, "--output", tmp_path / "int8.onnx")
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node}


def test_the_ranges_are_the_extremes_and_say_what_they_are_of(raw: Path, ranges: Path, pictures: Path) -> None:
    content = yaml.safe_load(ranges.read_text())
    assert (content["method"], content["images"]) == ("minmax", 4)
    assert len(content["model_sha256"]) == len(content["images_sha256"]) == 64
    model = SSDResNet34.load()
    with model.session(raw, threads=1) as session:
        outputs = session.run(model.preprocess(sorted(pictures.iterdir()), with_scaling=True)[0])
    for spec, output in zip(model.outputs, outputs, strict=True):
        assert content["ranges"][spec.name] == pytest.approx([output.min(), output.max()], rel=1e-5)


def test_calibration_takes_up_what_was_done_and_gives_the_same(
    raw: Path, ranges: Path, pictures: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.yaml"
    prepare_a_model("--calibrate", raw, "--images", pictures, "--count", 2, "--ranges", tmp_path / "two.yaml")
    kept = sorted(cache.glob("calibration/*/*.json"))
    assert len(kept) == 2
    kept[0].write_text("{")  # as a break while it was written on another kind of file system
    prepare_a_model("--calibrate", raw, "--images", pictures, "--ranges", again)
    assert "over 4 images (3 new)" in capsys.readouterr().out
    assert again.read_text() == ranges.read_text()


def test_a_calibration_that_is_stopped_writes_no_ranges_and_goes_on_later(
    raw: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--calibrate", raw, "--images", pictures, "--ranges", tmp_path / "ranges.yaml")
    real, calls = prepare_model._tensor, []

    def until_interrupted(*args: Any) -> object:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(prepare_model, "_tensor", until_interrupted)
        prepare_a_model(*arguments)
    assert not (tmp_path / "ranges.yaml").exists()
    assert "Calibrating: stopped" in capsys.readouterr().err
    prepare_a_model(*arguments)
    assert "over 4 images (2 new)" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_the_other_methods_stay_within_the_extremes(
    method: str, raw: Path, ranges: Path, pictures: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    prepare_a_model("--calibrate", raw, "--images", pictures, "--count", 1, "--method", method, "--ranges", other)
    content, extremes = (yaml.safe_load(path.read_text()) for path in (other, ranges))
    assert content["method"] == method
    assert content["ranges"].keys() == extremes["ranges"].keys()
    # these two make their ranges symmetric
    assert all(abs(v) <= 1.01 * max(map(abs, extremes["ranges"][n])) for n, p in content["ranges"].items() for v in p)


def test_without_images_the_synthetic_ones_are_taken(
    raw: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_a_model("--calibrate", raw, "--count", 2, "--ranges", tmp_path / "ranges.yaml")
    assert "over 2 images (2 new)" in capsys.readouterr().out
    assert [p.name for p in (cache / "synthetic").iterdir()] == [f"2-images-seed-1-generator-{GENERATOR_VERSION}"]


def test_a_list_names_the_images(raw: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = tmp_path / "list.txt"
    names.write_text("# two of them\n2.png\n\n0.png\n2.png\n")
    prepare_a_model("--calibrate", raw, "--images", pictures, "--list", names, "--ranges", tmp_path / "ranges.yaml")
    assert "over 2 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("0.png\na.jpg\nb.jpg\nc.jpg\nd.jpg", r"list\.txt: 4 of its 5 images are not in .*, the first: a\.jpg, b\.jpg"),
        ("../secret.png\n", r"list\.txt: \.\./secret\.png leaves the folder of images"),
        ("\n", r"list\.txt: 1 images are asked for, there are 0"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(
    raw: Path, pictures: Path, names: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(names)
    with pytest.raises(DatasetError, match=message):
        prepare_a_model(
            *("--calibrate", raw, "--images", pictures, "--list", tmp_path / "list.txt"),
            *("--ranges", tmp_path / "ranges.yaml"),
        )
    assert not (tmp_path / "ranges.yaml").exists()


def test_a_folder_or_list_that_is_not_there_is_refused(raw: Path, pictures: Path, tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.yaml"
    with pytest.raises(DatasetError, match="absent: no such folder of images"):
        prepare_a_model("--calibrate", raw, "--images", tmp_path / "absent", "--ranges", ranges)
    with pytest.raises(DatasetError, match="the list of images cannot be read"):
        prepare_a_model("--calibrate", raw, "--images", pictures, "--list", tmp_path / "absent", "--ranges", ranges)
    with pytest.raises(DatasetError, match="9 images are asked for, there are 4"):
        prepare_a_model("--calibrate", raw, "--images", pictures, "--count", 9, "--ranges", ranges)


def test_a_damaged_calibration_image_is_named(raw: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "part.png").write_bytes((pictures / "0.png").read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"part\.png: "):
        prepare_a_model("--calibrate", raw, "--images", tmp_path, "--ranges", tmp_path / "ranges.yaml")


@pytest.mark.parametrize("step", ["--calibrate", "--quantize"])
def test_models_that_are_not_the_raw_float32_one_are_refused(
    step: str, raw: Path, ranges: Path, tmp_path: Path
) -> None:
    arguments = ("--ranges", ranges) + (("--output", tmp_path / "out.onnx") if step == "--quantize" else ())
    published = tmp_path / "published.onnx"
    onnx.save(pytorch_export(small_trunk()), published)
    with pytest.raises(ModelError, match=r"it has 3 outputs, not the 12 raw ones.*\n  next: cut it there: .*--extract"):
        prepare_a_model(step, published, *arguments)
    prepare_a_model("--quantize", raw, "--ranges", ranges, "--output", tmp_path / "int8.onnx")
    with pytest.raises(ModelError, match=r"int8\.onnx: it is quantized already"):
        prepare_a_model(step, tmp_path / "int8.onnx", *arguments)
    (tmp_path / "part.onnx").write_bytes(raw.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"part\.onnx: "):
        prepare_a_model(step, tmp_path / "part.onnx", *arguments)
    with pytest.raises(ModelError, match="no such model file"):
        prepare_a_model(step, tmp_path / "absent.onnx", *arguments)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_sha256": "0" * 64}, r"these ranges are of another model \(sha256 000000000000…"),
        ({"ranges": {"class_0": [1.0, 0.0]}}, "the range of class_0 begins at 1.0 and ends at 0.0"),
        ({"ranges": {"class_0": [0.0, float("inf")]}}, "finite number"),
        ({"ranges": {}}, "at least 1 item"),
        ({"methods": "minmax"}, "unknown key 'methods'"),
        ({"method": "guess"}, "method: "),
    ],
)
def test_ranges_that_cannot_be_used_are_refused(
    change: dict[str, object], message: str, raw: Path, ranges: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "ranges.yaml"
    changed.write_text(yaml.safe_dump(yaml.safe_load(ranges.read_text()) | change))
    with pytest.raises(UsageError, match=message):
        prepare_a_model("--quantize", raw, "--ranges", changed, "--output", tmp_path / "int8.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["ranges.yaml"]


def test_ranges_that_lack_a_tensor_are_a_model_error(raw: Path, ranges: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(ranges.read_text())
    del content["ranges"]["class_3"]
    (tmp_path / "ranges.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match=r"the model does not quantize .*class_3"):
        prepare_a_model("--quantize", raw, "--ranges", tmp_path / "ranges.yaml", "--output", tmp_path / "int8.onnx")


@pytest.mark.parametrize("batch_norm", [False, True])  # with it, there is one more temporary copy
@pytest.mark.parametrize("step", ["--calibrate", "--quantize"])
def test_a_disk_that_fills_up_leaves_no_half_written_file(step: str, batch_norm: bool, tmp_path: Path) -> None:
    raw, ranges, output = (tmp_path / name for name in ("raw.onnx", "ranges.yaml", "out/int8.onnx"))
    onnx.save(onnx.version_converter.convert_version(small_trunk(batch_norm=batch_norm), 17), raw)
    command = ["prepare", "model", step, raw, "--ranges", ranges]
    if step == "--quantize":
        prepare_a_model("--calibrate", raw, "--count", 1, "--ranges", ranges)
        command += ["--output", output]
    else:
        command += ["--count", "1"]

    def no_file_above_100_kb() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-m", "harness", *map(str, command)],
        capture_output=True,
        text=True,
        preexec_fn=no_file_above_100_kb,
    )
    assert f"{tempfile.gettempdir()}: a temporary copy of the model cannot be written" in done.stderr
    assert "\n  next: free some space there; TMPDIR names another place" in done.stderr
    assert done.returncode == DataError.exit_status
    assert not output.exists()
    assert ranges.exists() == (step == "--quantize")


def test_evaluation_compares_the_two_models(
    raw: Path, ranges: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--quantize", raw, "--ranges", ranges, "--output", tmp_path / "int8.onnx")
    prepare_a_model(*arguments, "--evaluate", "--count", 1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "mAP over 1 images: 0.0000 float32, 0.0000 INT8, nothing to compare: the float32 model finds nothing"


@pytest.mark.parametrize(
    "arguments",
    [
        "--extract x",
        "--calibrate x",
        "--quantize x --output y",
        "--quantize x --ranges y",
        "--extract x --output y --ranges z",
        "--calibrate x --ranges y --output z",
        "--calibrate x --ranges y --list z",
        "--calibrate x --ranges y --evaluate",
        "--quantize x --ranges y --output z --images i",
        "--quantize x --ranges y --output z --evaluate --images i",
        "--quantize x --ranges y --output z --method entropy",
    ],
)
def test_options_that_are_missing_or_of_another_step_are_wrong_usage(arguments: str) -> None:
    with pytest.raises(UsageError):
        prepare_a_model(*arguments.split())
