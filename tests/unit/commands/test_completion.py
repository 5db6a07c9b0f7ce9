"""``ssd-harness completion`` prints a script that a shell can read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli

Capture = pytest.CaptureFixture[str]


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    typed = " ".join(words)
    asked = f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _shtab_ssd_harness"
    ask = f'{asked}; echo "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_commands_and_options(capsys: Capture, tmp_path: Path) -> None:
    assert cli.main(["completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    assert completed(script, "ssd-harness", "su") == ["submission"]
    assert completed(script, "ssd-harness", "run", "--scen") == ["--scenario"]
    assert {"build", "check", "truncate"} <= set(completed(script, "ssd-harness", "submission", ""))


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_one_too(shell: str, capsys: Capture) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "ssd-harness" in script and "--scenario" in script


def test_without_shtab_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 3
    assert "pip install 'ssd-harness[completion]'" in capsys.readouterr().err
