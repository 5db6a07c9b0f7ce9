"""What people get wrong: each mistake has its exit status, and a message that names what was given and the way out."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import cli

ROOT = Path(__file__).resolve().parents[2]
Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Mistake:
    """Attributes:
    command: what was typed, in the folder that `workplace` makes.
    status: how it ends.
    names: what the message must name: the word that is wrong, as the person wrote it.
    way_out: what its last line must say.
    """

    command: str
    status: int
    names: str
    way_out: str


SUBMISSION = "run smoke --mode submission --division closed"
MISTAKES = [
    # spelling
    Mistake("rnu demo", 2, "rnu", "'run'"),
    Mistake("submission chekc tree", 2, "chekc", "'check'"),
    Mistake("prepare modle", 2, "modle", "'model'"),
    Mistake("run smoke --modle my.onnx", 2, "--modle", "'--model'"),
    Mistake("run smoke --device cpu", 2, "--device", "'--devices'"),
    Mistake("run smoke --scenario ofline", 2, "--scenario", "offline"),
    Mistake("run smoke --backend onnxruntme", 2, "--backend: ", "'onnxruntime'"),
    Mistake("run smoke --model-name yoloo", 2, "--model-name: ", "'yolo'"),
    Mistake("run smoke --round v9.9", 2, "--round: ", "v6.1"),
    Mistake("submission check tree --round v9.9", 2, "--round: ", "v6.1"),
    Mistake("run typo.yaml", 2, "backedn", "'backend'"),
    Mistake("run smoke --set backend.wramup=1", 2, "backend.wramup", "'warmup'"),
    Mistake("run smoke --set backend.options.latency=1", 2, "latency", "latency_ms"),
    Mistake("prepare dataset --download coco --output here", 2, "--download", "coco-val2017"),
    Mistake("prepare model --downlod resnet34-ssd1200", 2, "--downlod", "'--download'"),
    Mistake("run dmo", 2, "dmo", "'demo'"),
    Mistake("results . --scenario ofline", 2, "--scenario", "'offline'"),
    # options and their values
    Mistake("run smoke --count", 2, "--count", "ssd-harness run --help"),
    Mistake("run smoke --count 0", 2, "--count", "ssd-harness run --help"),
    Mistake("run smoke --duration -1", 2, "--duration", "ssd-harness run --help"),
    Mistake("run smoke --devices simulated*x", 2, "--devices: ", "cpu*2"),
    Mistake("run smoke --set warmup", 2, "--set", "--set backend.warmup=2"),
    Mistake("run smoke --resume", 2, "--resume", "the folder of the run"),
    Mistake("run smoke --mode submission", 2, "--division, --submitter and --system", "ssd-harness doctor system"),
    Mistake(f"{SUBMISSION} --submitter 'My Org' --system x.json", 2, "--submitter", "ssd-harness run --help"),
    Mistake(
        "doctor system --type phone",
        2,
        '--type: found "phone", required one of edge',
        "ssd-harness doctor system --help",
    ),
    Mistake("bench postprocess --rounds 0", 2, "--rounds", "ssd-harness bench postprocess --help"),
    Mistake("bench preprocess --workers 0", 2, "--workers", "ssd-harness bench preprocess --help"),
    Mistake("backends check simulated --threads 0", 2, "--threads", "--help"),
    # options that would have no effect
    Mistake("report finished --threshold 3", 2, "--threshold", "--compare BASELINE"),
    Mistake("results . --chart accuracy.mAP --format csv", 2, "--chart", "leave one of them out"),
    Mistake("prepare dataset --images images --annotations coco.json --seed 3", 2, "--seed", "--synthetic N"),
    Mistake("prepare dataset --download coco-val2017 --workers 2", 2, "--download", "then prepare"),
    Mistake("run coco", 2, "coco", "--images DIR and --annotations JSON"),
    Mistake("run coco --images images", 2, "--annotations is missing", "--annotations JSON"),
    Mistake("backends check simulated --set latency=1", 2, "latency", "latency_ms"),
    # paths and what lies there
    Mistake("run nothing.yaml", 2, "nothing.yaml", "demo"),
    Mistake("run broken.yaml", 2, "broken.yaml", "ssd-harness config new"),
    Mistake("run smoke --model nothing.onnx", 3, "nothing.onnx", "--model"),
    Mistake("run --model text.onnx", 3, "text.onnx", "download it again"),
    Mistake("run coco --images images --annotations nothing.json", 3, "nothing.json", "instances_val2017.json"),
    Mistake("run coco --images images --annotations broken.json", 3, "broken.json", "instances_val2017.json"),
    Mistake("run coco --images images --annotations coco.json", 3, "a.jpg", "folder"),
    Mistake(f"{SUBMISSION} --submitter Org --system nothing.json", 2, "nothing.json", "ssd-harness doctor system"),
    Mistake("run smoke --output text.onnx", 2, "text.onnx", "--output"),
    Mistake("run smoke --output finished", 2, "finished", "--overwrite"),
    # a typo beside a finished run leaves every byte of it
    Mistake("run coco --images images --annotations nothing.json --output finished", 2, "finished", "--overwrite"),
    Mistake(
        "run coco --images images --annotations nothing.json --output finished --overwrite",
        3,
        "nothing.json",
        "--annotations",
    ),
    Mistake("run smoke --output locked/run", 3, "locked/run", "--output"),
    Mistake("report images", 3, "images", "--output of a run"),
    Mistake("compliance images", 2, "images", "--output of a run"),
    Mistake("submission build images --output tree", 3, "images", "--output of a run"),
    Mistake("submission check images", 3, "images", "the folder above"),
    Mistake("accuracy text.onnx", 2, "--annotations", "ssd-harness accuracy --help"),
    Mistake("accuracy text.onnx --annotations nothing.json", 3, "nothing.json", "--annotations"),
    Mistake("results nothing", 3, "nothing", "the folder that holds the run directories"),
]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a person might have around, and the cache in it."""
    (tmp_path / "images").mkdir()
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "typo.yaml").write_text("backedn: { name: simulated }\n")
    (tmp_path / "broken.yaml").write_text("backend: [\n")
    (tmp_path / "broken.json").write_text("{")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0}
    image = {"id": 1, "file_name": "a.jpg", "width": 4, "height": 4}
    coco = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    finished = {"schema": 1, "status": "complete"}
    (tmp_path / "finished").mkdir()
    (tmp_path / "finished" / "manifest.json").write_text(json.dumps(finished))
    make = os.mkdir

    def mkdir(path: os.PathLike[str] | str, mode: int = 0o777) -> None:
        if Path(path).parts[:1] == ("locked",):  # no folder is locked to root, whom some run the tests as
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_there_are_enough() -> None:
    assert len(MISTAKES) >= 30


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: re.sub(r"\W+", "-", mistake.command))
def test_a_mistake_is_named_with_the_way_out(mistake: Mistake, workplace: Path, capsys: Capture) -> None:
    before = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    assert cli.main(shlex.split(mistake.command)) == mistake.status
    error = capsys.readouterr().err.partition("error: ")[2]
    *_, what, way_out = error.splitlines()
    assert mistake.names in what
    assert way_out.startswith("  next: ") and mistake.way_out in way_out
    assert "Traceback" not in error and "Errno" not in error
    assert {path: path.read_bytes() for path in before} == before


def test_a_python_that_is_too_old_or_too_new_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")  # as one of another version answers the question
    python.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    install = tmp_path / "scripts" / "install"
    install.write_text((ROOT / "scripts" / "install").read_text())
    for name in ("setup.cfg", "pyproject.toml", "setup.py"):
        (tmp_path / name).write_text("")
    environment = os.environ | {"PYTHON": str(python)}
    done = subprocess.run(["sh", str(install)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Python 3.10 to 3.13" in done.stderr and "PYTHON=/path/to/python" in done.stderr


def test_a_folder_called_harness_does_not_hide_the_command(tmp_path: Path) -> None:
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
    command = [str(Path(sys.executable).with_name("ssd-harness")), "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
