"""Every command that the documentation shows is run here, shortened, or in a test of its own, or it says why not."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from harness import cli
from tests.unit.docs.test_pages import PAGES, blocks, shell_commands

SHORT = ("--duration", "0.1", "--queries", "8")
FEW = ("--set", "dataset.synthetic.images=8")
RUN = {
    "run smoke --mode performance --scenario offline --json-progress --output results/json": (*FEW, *SHORT),
    "run --backend simulated --devices 'simulated*8' --on-device-failure continue --mode performance --scenario "
    "offline": (*FEW, *SHORT),
    "report results/smoke": (),
    "results": (),
    "results --backend onnxruntime --since 2026-11-01 --valid": (),
    "results --chart offline.samples_per_second": (),
    "report results/new --compare results/old": (),
    "report results/after --compare results/before": (),
    "report results/new --compare results/good --fail-if-slower --threshold 3": (),
    "doctor system --submitter MyOrg --name 'My NPU x1' --output my_npu.json": (),
    "doctor system --output mine.json": (),
    "run rehearsal --mode submission --division closed --submitter MyOrg --system my_npu.json --output "
    "results/rehearsal": (*FEW, *SHORT, "--scenario", "offline"),
    "run ci.yaml --output results/new --quiet": (*FEW, *SHORT, "--backend", "simulated", "--repeat", "1"),
    "backends": (),
    "submission build results/rehearsal --output rehearsal_tree --rehearsal": (),
    "submission check rehearsal_tree --rehearsal": (),
}
"""Command → what is added to it here, so that it takes a moment."""
ELSEWHERE = {
    "mynpu": "tests/integration/test_first_hour.py",
    "build-2": "tests/integration/test_first_hour.py",
    "--version": "tests/integration/test_first_hour.py",
    "run smoke --output smoke": "tests/integration/test_first_hour.py",
    "acme": "tests/integration/test_adding_a_backend.py",
    "acme_model:MODEL": "tests/integration/test_adding_a_model.py",
    "sweep smoke": "tests/integration/test_swept_runs.py",
    "--no-live": "tests/integration/test_live_view.py",
    "--devices simulated*8 --mode performance": "tests/integration/test_run.py",
    "--mode find-peak": "tests/integration/test_run.py",
    "--trace": "tests/integration/test_traced_run.py",
    "./with-server.yaml": "tests/integration/test_private_round.py",
    "bench queue --seconds": "tests/unit/commands/test_bench_queue.py",
    "compliance": "tests/integration/test_submission_tree.py",
    "submission": "tests/integration/test_submission_tree.py",
    "run rehearsal.yaml": "tests/integration/test_submission_run.py",
    "prepare dataset --synthetic": "tests/unit/commands/test_prepare_dataset.py",
    "tests.offline.expected_qps=1": "tests/integration/test_run.py",
}
"""Part of a command → the test that runs it, or one like it in less time."""
NOT_RUN = {
    "--download": "gets hundreds of megabytes from the network",
    "…": "a form, to be filled in",
    "RUN": "a form, to be filled in",
    "NAME": "a form, to be filled in",
    "val2017": "needs COCO's images",
    "instances_val2017.json": "needs COCO's annotations",
    "raw.onnx": "needs a published model",
    "int8.onnx": "needs a published model",
    "yolox_nano.onnx": "needs a published model",
    "split.onnx": "needs a published model",
    "--cluster": "needs the extra cluster",
    "backends check openvino": "needs the extra openvino",
    "sweep --grid backend=onnxruntime,openvino": "needs the extra openvino",
    "--repeat 5": "measures the default model for minutes",
    "--duration 60": "measures the default model for minutes",
    "run --profile": "measures the default model for minutes",
    "run --devices": "measures the default model for minutes",
    "tests.server.min_queries=24": "measures the default model for minutes",
}
"""Part of a command → why it is not run."""


def documented() -> list[str]:
    """Every command of the pages, without ``ssd-harness``, its comment and its redirections; each once."""
    found: dict[str, None] = {}
    for page in PAGES:
        for command in shell_commands(page):
            words = shlex.split(command.split(" > ")[0], comments=True)[1:]
            if words and "--help" not in words and words[0] != "COMMAND":
                found[shlex.join(words)] = None
    return list(found)


def as_documented(command: str) -> str:
    """A command of the tables, spelled as `documented` spells it."""
    return shlex.join(shlex.split(command))


def has(part: str, command: str) -> bool:
    """Whether a part stands in a command; words in capitals and names as words of their own."""
    return re.search(rf"(^|[\s=/]){re.escape(part)}", command.replace("'", "")) is not None


def test_every_command_is_run_or_says_why_not() -> None:
    run = {as_documented(command) for command in RUN}
    rest = [command for command in documented() if command not in run]
    assert [command for command in rest if not any(has(part, command) for part in (*ELSEWHERE, *NOT_RUN))] == []


def test_the_tables_have_nothing_that_the_pages_no_longer_show() -> None:
    pages = documented()
    assert [command for command in RUN if as_documented(command) not in pages] == []
    assert [part for part in (*ELSEWHERE, *NOT_RUN) if not any(has(part, command) for command in pages)] == []
    root = Path(__file__).resolve().parents[2]
    assert [test for test in ELSEWHERE.values() if not (root / test).is_file()] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs and files that the pages have by then."""
    folder = tmp_path_factory.mktemp("documented")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSD_HARNESS_CACHE", str(folder / "cache"))
        assert cli.main(["run", "smoke", *FEW, *SHORT, "--output", "results/smoke"]) in (0, 1)
    for name in ("old", "good", "before", "after"):
        shutil.copytree(folder / "results" / "smoke", folder / "results" / name)
    page = next(page for page in PAGES if page.name == "ci-job.md")
    text = next(text for language, text in blocks(page) if language == "yaml")
    (folder / "ci.yaml").write_text(text.replace("min_map_percent: 85", "min_map_percent: 0"), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_commands_do_what_the_pages_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(folder / "cache"))
    waiting = [command for command in RUN if "results/new" not in command or command.startswith("run")]
    for command in (*waiting, *(command for command in RUN if command not in waiting)):
        status = cli.main([*shlex.split(command), *RUN[command]])
        # what is shortened is INVALID, and a tree without its compliance tests fails its check: status 1
        assert status in (0, 1), command + "\n" + capsys.readouterr().err
