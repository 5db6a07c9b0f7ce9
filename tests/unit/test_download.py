"""A download comes whole or not at all, and goes on where it broke off."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from harness import download as module
from harness.download import download
from harness.errors import DataError
from tests.support.file_server import FileServer, file_server

CONTENT = np.random.default_rng(0).bytes(1_000_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "PAUSE_S", 0)
    monkeypatch.setattr(module, "BLOCK", 1000)  # a break loses what has come of a block
    with file_server() as state:
        state.files["/model.onnx"] = CONTENT
        yield state


def get(server: FileServer, folder: Path, name: str = "model.onnx") -> list[tuple[int, int | None]]:
    told: list[tuple[int, int | None]] = []
    download(f"{server.url}/{name}", folder / "model.onnx", lambda done, total: told.append((done, total)))
    return told


def ranges_asked(server: FileServer) -> list[str | None]:
    return [wanted for _, wanted in server.asked]


def test_a_file_comes_whole_with_progress_and_leaves_nothing_else(server: FileServer, tmp_path: Path) -> None:
    told = get(server, tmp_path / "new")
    assert (tmp_path / "new/model.onnx").read_bytes() == CONTENT
    assert told[-1] == (1_000_000, 1_000_000)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["model.onnx"]


def test_a_broken_connection_is_taken_up_where_it_broke(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [300_000, 400_000]
    told = get(server, tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert ranges_asked(server) == [None, "bytes=300000-", "bytes=700000-"]
    assert {total for _, total in told} == {1_000_000}


def test_a_download_that_was_stopped_goes_on_with_the_next_call(server: FileServer, tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done > 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/model.onnx", tmp_path / "model.onnx", stop)
    assert not (tmp_path / "model.onnx").exists()
    there = (tmp_path / ".model.onnx.part").stat().st_size
    assert there > 400_000
    told = get(server, tmp_path)
    assert ranges_asked(server)[1] == f"bytes={there}-"
    assert told[0][0] > there
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_file_that_changed_in_between_comes_anew(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [300_000, 0, 0, 0, 0, 0]
    with pytest.raises(DataError):
        get(server, tmp_path)
    server.files["/model.onnx"] = CONTENT[::-1]
    server.break_after = []
    get(server, tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("lacking", ["validators", "ranges"])
def test_a_server_that_cannot_go_on_gives_it_from_the_start(server: FileServer, lacking: str, tmp_path: Path) -> None:
    setattr(server, lacking, False)
    server.break_after = [300_000]
    get(server, tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_what_was_whole_and_only_not_moved_yet_is_taken(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [999_000, 0, 0, 0, 0, 0]
    with pytest.raises(DataError):
        get(server, tmp_path)
    with (tmp_path / ".model.onnx.part").open("ab") as part:
        part.write(CONTENT[999_000:])
    get(server, tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [500_000, 0, 0, 0, 0, 0]
    with pytest.raises(DataError):
        get(server, tmp_path)
    with (tmp_path / ".model.onnx.part").open("ab") as part:
        part.write(CONTENT)
    server.asked.clear()
    get(server, tmp_path)
    assert ranges_asked(server) == ["bytes=1500000-", None]
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_after_some_attempts_without_a_byte_it_gives_up_and_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [300_000, 0, 0, 0, 0, 0]
    with pytest.raises(DataError, match="cannot be downloaded"):
        get(server, tmp_path)
    assert len(server.asked) == 1 + module.ATTEMPTS
    assert (tmp_path / ".model.onnx.part").read_bytes() == CONTENT[:300_000]


def test_offline_it_says_so_with_the_address_and_the_place(server: FileServer, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/model.onnx"
        with pytest.raises(DataError) as raised:
            download(url, tmp_path / "model.onnx", lambda done, total: None)
    assert str(raised.value) == (
        f"{url}: cannot be downloaded (no connection: is this machine offline?)\n"
        f"  next: download it in another way, put it at {tmp_path / 'model.onnx'}, and start again"
    )


def test_a_refusal_of_the_server_is_said(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.onnx: cannot be downloaded \(the server says 404 Not Found\)"):
        get(server, tmp_path, "absent.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "from pathlib import Path; from harness.download import download\n"
        "download(sys.argv[1], Path(sys.argv[2]), lambda done, total: None)"
    )
    arguments = [f"{server.url}/model.onnx", str(tmp_path / "model.onnx")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert "model.onnx: cannot be written (File too large)" in done.stderr
    assert (tmp_path / ".model.onnx.part").stat().st_size <= 400_000
    get(server, tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def answering(answer: bytes) -> tuple[str, Thread]:
    """A server that gives the same bytes, whatever it is asked, and hangs up; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(60)

    def serve() -> None:
        with listener:
            while True:
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    return
                with connection:
                    asked = connection.recv(65536)
                    connection.sendall(answer)
                    if b"/last" in asked:
                        return

    thread = Thread(target=serve, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/last", thread


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("200 OK\r\nContent-Length: abc", "a length of 'abc'"),
        ("200 OK\r\nContent-Length: -5", "a length of '-5'"),
        ("206 Partial Content\r\nContent-Range: bytes 5-7/8\r\nContent-Length: 3", "a part of the file, which nobody"),
        ("200 OK", "does not say how long the file is"),
        ("416 Range Not Satisfiable\r\nContent-Length: 0", "the server says 416"),
        ("200 OK\r\nContent-Length: 9", "the connection ended early"),
        ("200 OK\r\nTransfer-Encoding: chunked", "the connection ended early"),
        ("HELLO", "no connection|Connection aborted|BadStatusLine|the connection ended early"),
    ],
)
def test_an_answer_that_cannot_be_trusted_is_refused(
    tmp_path: Path, head: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    url, _ = answering(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\nabc".encode())
    with pytest.raises(DataError, match=reason) as caught:
        download(url, tmp_path / "a", lambda done, total: None)
    assert caught.value.where == url
    assert not (tmp_path / "a").exists()


def test_what_is_checked_later_needs_no_length_and_no_readable_etag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url, _ = answering('HTTP/1.1 200 OK\r\nETag: "é"\r\nConnection: close\r\n\r\nabc'.encode("latin-1"))
    download(url, tmp_path / "a", lambda done, total: None, checked_later=True)
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_range_that_begins_elsewhere_is_not_mixed_in(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".model.onnx.part").write_bytes(b"12345")
    (tmp_path / ".model.onnx.part.validator").write_text('"x"')
    head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/8\r\nContent-Length: 3\r\n"
    listener_url, _ = answering(f"{head}Connection: close\r\n\r\nabc".encode())
    with pytest.raises(DataError):
        download(listener_url.replace("/last", "/x"), tmp_path / "model.onnx", lambda done, total: None)
    assert not (tmp_path / "model.onnx").exists()


def test_a_link_in_the_place_of_the_part_is_not_followed(server: FileServer, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "to").mkdir()
    (tmp_path / "to/.model.onnx.part").symlink_to(victim)
    (tmp_path / "to/.model.onnx.part.validator").symlink_to(victim)
    get(server, tmp_path / "to")
    assert victim.read_text() == "precious"
    assert (tmp_path / "to/model.onnx").read_bytes() == CONTENT


def test_two_downloads_of_one_file_do_not_mix(server: FileServer, tmp_path: Path) -> None:
    with (tmp_path / ".model.onnx.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is downloading it"):
            get(server, tmp_path)
