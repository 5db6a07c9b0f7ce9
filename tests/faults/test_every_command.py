"""The kinds of fault in commands other than `run`: ended by signals, without readers, on damaged and hostile runs."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from harness import cli
from tests.faults.command import Harness, is_clear_error
from tests.faults.test_damage import DAMAGED_TEXT
from tests.faults.test_disk import own_mounts

GRID = "backend.options.latency_ms=1,2"
LONG = {
    "sweep": ("sweep", "c.yaml", "--grid", GRID, "--output", "swept"),
    "find-peak": ("run", "c.yaml", "--mode", "find-peak", "--scenario", "server", "--output", "r"),
    "prepare dataset": ("prepare", "dataset", "--synthetic", "64", "--output", "ds"),
    "bench queue": ("bench", "queue", "--seconds", "0.3", "--rounds", "1"),
    "doctor system": ("doctor", "system"),
    "results": ("results", "."),
}
"""Commands by what they do."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", LONG)
def test_a_command_that_is_interrupted(harness: Harness, name: str, number: signal.Signals) -> None:
    process = harness.start(harness.argv(*LONG[name]))
    time.sleep(random.Random(f"{name} {number}").uniform(1, 6))
    if process.poll() is None:
        os.kill(process.pid, number)
    done = harness.wait(process)
    assert done.status in (0, 130, -number), done.err  # killed as it is before Python has begun
    assert "Traceback" not in done.err
    assert done.status != 130 or "interrupted" in done.err
    assert not list(harness.folder.rglob(".*.tmp"))


READ = {
    "accuracy": ("accuracy", "{run}"),
    "accuracy --doctor": ("accuracy", "{run}", "--doctor"),
    "submission build": (
        *("submission", "build", "{run}", "--output", "tree", "--division", "open", "--submitter", "Org"),
        *("--system", "system.json"),
    ),
    "compliance": ("compliance", "{run}"),
    "report --compare": ("report", "{good}", "--compare", "{run}"),
    "accuracy --compare": ("accuracy", "{good}", "--compare", "{run}"),
}


@pytest.mark.quick_fault
@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("file", ["manifest.json", "summary.json", "offline/accuracy/accuracy.json"])
def test_a_damaged_run_is_one_line_in_every_command(
    harness: Harness,
    finished: Path,
    name: str,
    file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process: it costs no start of Python for each."""
    monkeypatch.chdir(harness.folder)
    (harness.folder / "system.json").write_text("{}")
    bad = harness.folder / "bad"
    shutil.copytree(finished, bad)
    whole = (bad / file).read_bytes()
    for kind, text in DAMAGED_TEXT.items():
        (bad / file).write_text(text, encoding="utf-8", errors="surrogateescape")
        words = [word.format(run=bad, good=finished) for word in READ[name]]
        status = cli.main(words)
        said = capsys.readouterr()
        assert status in (0, 1, 2, 3, 4), f"{kind}: {said.err}"
        assert "Traceback" not in said.err
        assert status in (0, 1) or len([line for line in said.err.splitlines() if line.startswith("error: ")]) == 1
    (bad / file).write_bytes(whole)


HOSTILE = "\x1b]0;owned\x07[red]x[/][/nothing]\r\u202e<script>"


def poisoned(value: object, keys: tuple[str, ...]) -> object:
    """The document with a hostile text under these keys."""
    if isinstance(value, dict):
        return {
            key: HOSTILE if key in keys and isinstance(part, str) else poisoned(part, keys)
            for key, part in value.items()
        }
    return [poisoned(part, keys) for part in value] if isinstance(value, list) else value


def test_no_text_of_a_foreign_run_reaches_the_terminal_as_commands(harness: Harness, finished: Path) -> None:
    run = harness.folder / "runs" / "\x1b]0;owned\x07[red]run"
    shutil.copytree(finished, run)
    keys = ("name", "title", "device", "directory", "processor", "reason", "image", "annotations", "images_dir", "host")
    for path in run.rglob("*.json"):
        if "mlperf" not in path.name:
            path.write_text(json.dumps(poisoned(json.loads(path.read_text()), keys)))
    for command in (("results", "runs"), ("report", run), ("report", run, "--compare", finished), ("accuracy", run)):
        done = harness.run(*command)
        assert done.status in (0, 1, 2, 3), done.err
        assert "\x1b" not in done.out + done.err
        assert "\x07" not in done.out + done.err
        assert "Traceback" not in done.err
    page = run / "report.html"
    assert "<script>" + "</td>" not in page.read_text()
    assert "[/nothing]\r\u202e<script>" not in page.read_text()


@own_mounts
def test_containers_with_equal_pids_share_an_empty_cache(harness: Harness) -> None:
    """Each in a process namespace of its own, where everyone's number is the same."""
    harness.environment["H"] = " ".join(harness.argv())
    harness.cache = harness.folder / "empty"
    line = "; ".join(
        [
            *(f"unshare -Urpf --mount-proc $H run c.yaml --output r{k} --mode performance & p{k}=$!" for k in range(3)),
            *(f"wait $p{k} || exit {k + 10}" for k in range(3)),
        ]
    )
    done = harness.shell(line)
    assert done.status == 0, done.err
    assert [harness.manifest(f"r{k}")["status"] for k in range(3)] == ["complete"] * 3


@pytest.mark.parametrize("images", [1, 2])
def test_a_run_of_very_few_images(harness: Harness, images: int) -> None:
    done = harness.run("run", "c.yaml", "--output", "r", "--set", f"dataset.synthetic.images={images}")
    assert done.status == 0, done.err
    assert (harness.folder / "r/report.html").is_file()


@pytest.mark.parametrize(
    "line", ["accuracy /dev/stdin --annotations i.json < log.json", "accuracy <(cat log.json) --annotations i.json"]
)
def test_a_log_from_a_pipe(harness: Harness, finished: Path, line: str) -> None:
    shutil.copy(finished / "offline/accuracy/mlperf_log_accuracy.json", harness.folder / "log.json")
    annotations = json.loads((finished / "manifest.json").read_text())["dataset"]["annotations"]
    shutil.copy(annotations, harness.folder / "i.json")
    done = harness.shell(f"$H {line}")
    assert done.status == 0 or is_clear_error(done, 2, 3)
    assert "mAP" in done.out
