"""Every ending of the command line is a message and an exit status."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from harness.errors import ModelError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], None]:
    """Puts a body in the place of `ssd-harness run`."""

    def install(body: Callable[[], int]) -> None:
        module = types.SimpleNamespace(
            SUMMARY="s", EXAMPLES="  e", add_arguments=lambda parser: None, run=lambda args: body()
        )
        monkeypatch.setattr(cli, "import_module", lambda name: module)

    return install


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["rum"], "error: no such command: rum\n  next: did you mean 'run'?"),
        ([], "the following arguments are required: COMMAND"),
        (["run", "--nonsense"], "error: ssd-harness run: no such option: --nonsense\n  next: `ssd-harness run --help`"),
        (["run", "--count", "many"], "error: --count: invalid int value: 'many'"),
        (["run", "nowhere.yaml"], "nowhere.yaml: no such configuration file"),
        (["run", "--resume"], "--resume needs the run's --output"),
        (["run", "--set", "backend.warmpu=1"], "did you mean 'warmup'?"),
        (
            ["run", "--scenario", "online"],
            "error: --scenario: no such scenario: 'online'\n  next: did you mean 'offline'?",
        ),
        (["run", "--images", "x"], "--annotations is missing"),
    ],
)
def test_wrong_usage_is_status_2_with_a_way_out(argv: list[str], message: str, capsys: Capture) -> None:
    assert cli.main(argv) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (ModelError("no such model", where="a.onnx"), 3, "error: a.onnx: no such model"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "/out/x"), 3, "error: /out/x: No space left on device"),
        (OSError(errno.EIO, "Input/output error", "/a", None, "/b"), 3, "error: /b: Input/output error\n  next: the "),
        (OSError(errno.EFBIG, "File too large"), 3, "error: File too large\n  next: raise the limit"),
        (MemoryError(), 3, "error: there is not enough memory"),
    ],
)
def test_an_error_becomes_one_message(
    command: Callable[[Callable[[], int]], None], raised: BaseException, status: int, message: str, capsys: Capture
) -> None:
    def body() -> int:
        raise raised

    command(body)
    assert cli.main(["run"]) == status
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown


def test_debug_shows_the_traceback(command: Callable[[Callable[[], int]], None]) -> None:
    def body() -> int:
        raise ModelError("broken")

    command(body)
    with pytest.raises(ModelError):
        cli.main(["--debug", "run"])


@pytest.mark.parametrize(
    "raised", [OSError(errno.EBADF, "bad"), BrokenPipeError(errno.EPIPE, "x"), ValueError("a\nb"), RecursionError()]
)
def test_an_unexpected_error_is_one_line_with_its_traceback_in_a_file(
    command: Callable[[Callable[[], int]], None],
    raised: Exception,
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def body() -> int:
        raise raised

    command(body)
    assert cli.main(["run"]) == 4
    what, hint = capsys.readouterr().err.splitlines()
    assert what.startswith("error: test_cli.py:")
    assert f"unexpected {type(raised).__name__}" in what
    [file] = tmp_path.iterdir()
    assert str(file) in hint
    assert "Traceback" in file.read_text()
    assert "in body" in file.read_text()


def test_without_a_place_for_the_traceback_it_is_shown(
    command: Callable[[Callable[[], int]], None], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))

    def body() -> int:
        raise ValueError

    command(body)
    assert cli.main(["run"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_an_error_cannot_command_the_terminal(command: Callable[[Callable[[], int]], None], capsys: Capture) -> None:
    def body() -> int:
        raise ModelError("no \x1b[2J\x9b such [bold]\udce9", where="a\rb")

    command(body)
    cli.main(["run"])
    assert capsys.readouterr().err == "error: a\\rb: no \\x1b[2J\\x9b such [bold]\\udce9\n"


def test_the_commands_status_is_the_programs(command: Callable[[Callable[[], int]], None]) -> None:
    command(lambda: 1)
    assert cli.main(["run"]) == 1


def test_help_has_examples_and_every_command(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.COMMANDS)
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    assert "examples:\n  ssd-harness run " in capsys.readouterr().out


def test_python_m_harness_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "harness", "--version"], capture_output=True, text=True, check=True)
    script = Path(sys.executable).with_name("ssd-harness")
    assert done.stdout == subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout
    assert done.stdout.startswith("ssd-harness ")
