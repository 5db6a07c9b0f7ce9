"""Losing a reader, a disk or a descriptor costs the text and nothing else; any text can be written."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.streams import LastingStream, printable, write_any_text

PROGRAM = """
import os, sys
from harness.streams import lasting_streams
with lasting_streams() as output:
    print("x" * 100_000, flush=True)
    print("y", file=sys.stderr, flush=True)
    print("more")
    output.flush()
    open({!r}, "w").write(f"{{output.lost}} {{sys.stderr.lost}} {{os.fstat(1).st_mode}}")
"""


def outcome(tmp_path: Path, redirection: str) -> tuple[int, str]:
    """The status of a program that prints, and what it found lost."""
    note = tmp_path / "note"
    (tmp_path / "program.py").write_text(PROGRAM.format(str(note)))
    line = f"({sys.executable} {tmp_path / 'program.py'}; echo $? >&9) {redirection}"
    read, write = os.pipe()
    with os.fdopen(read) as status:
        subprocess.run(["bash", "-c", f"exec 9>&{write}; {line}"], pass_fds=[write], check=False, timeout=60)
        os.close(write)
        return int(status.readline()), note.read_text()


@pytest.mark.parametrize(
    ("redirection", "lost"),
    [
        (">/dev/null", "None None"),
        ("| true", "[Errno 32] Broken pipe None"),
        ("2>&1 | true", "[Errno 32] Broken pipe [Errno 32] Broken pipe"),
        (">/dev/full", "[Errno 28] No space left on device None"),
        (">/dev/null 2>/dev/full", "None [Errno 28] No space left on device"),
        (">&-", "None None"),
        (">/dev/null 2>&-", "None None"),
        ("<&- >&- 2>&-", "None None"),
    ],
)
def test_a_program_outlives_its_streams(tmp_path: Path, redirection: str, lost: str) -> None:
    status, note = outcome(tmp_path, redirection)
    assert status == 0
    assert note.startswith(lost)


def test_what_an_encoding_does_not_have_is_written_plainly() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1")
    write_any_text(stream)
    stream.write("12 – 13 µs × 2 … 猫 \udce9")
    stream.flush()
    assert raw.getvalue() == b"12 - 13 \xb5s \xd7 2 ... \\u732b \\udce9"


def test_a_closed_stream_is_a_lost_one() -> None:
    below = io.StringIO()
    below.close()
    stream = LastingStream(below)
    assert stream.write("x") == 1
    stream.flush()
    assert stream.lost is not None
    assert stream.lost.errno == errno.EBADF
    assert not stream.isatty()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünï 猫\n\tnext", "plain – ünï 猫\n\tnext"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("bell\a back\b return\r\x7f", r"bell\x07 back\x08 return\r\x7f"),
        ("C1 \x9b31m", r"C1 \x9b31m"),
        ("right to left \u202e", r"right to left \u202e"),
        ("lone \udce9", r"lone \udce9"),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown
