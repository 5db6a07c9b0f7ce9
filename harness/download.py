"""One file over HTTP, taken up where it broke off.

What came so far stays in ``.NAME.part`` beside the target, with the server's validator (its ETag, or the date of the
last change) in ``.NAME.part.validator``: the rest is asked for with If-Range (RFC 9110, 13.1.5), so that a file which
changed in between comes whole, never mixed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from harness.errors import DataError
from harness.locks import Busy, lock

if TYPE_CHECKING:
    import requests

ATTEMPTS = 5
"""In a row without a single byte, once there was one; before that, one is enough to say that there is no way."""
PAUSE_S = 1.0
CONNECT_TIMEOUT_S = 15
SILENCE_TIMEOUT_S = 60
BLOCK = 1 << 15
"""A connection that ends costs at most this much of what has come."""


def download(
    url: str, target: Path, progress: Callable[[int, int | None], None], *, checked_later: bool = False
) -> None:
    """Writes what is at an address to a file, whole or not at all.

    A broken connection is taken up again at once, and a call that was stopped by the next call.

    Args:
        url: its address.
        target: the file to write.
        progress: takes the bytes so far, those of an earlier call included, and the size if the server says it.
        checked_later: the caller sees from the content whether it is whole. Else an answer whose end cannot be told
            from a cut, one with neither a length nor chunks, is refused.

    Raises:
        DataError: no connection, a refusal of the server, an answer that cannot be trusted, another process at the
            same file, or a disk that cannot be written. Names the address and where to put the file by hand.
    """
    import requests

    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        failures, attempts = 0, 1
        with _open_part(part) as file, requests.Session() as http:
            lock(file.fileno())
            while True:
                before = _size(part)
                try:
                    if _whole(http, url, part, file, progress, checked_later):
                        break
                    reason = "the connection ended early"
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                    reason = _reason(error)
                if _size(part) > before:
                    failures, attempts = 0, ATTEMPTS
                else:
                    failures += 1
                if failures == attempts:
                    raise _refused(url, target, reason)
                time.sleep(PAUSE_S * failures)
            part.replace(target)
        _validator(part).unlink(missing_ok=True)
    except Busy:
        raise DataError(
            "another process is downloading it", where=str(target), hint="wait for it, and start again"
        ) from None
    except _Untrusted as error:
        raise _refused(url, target, str(error)) from None
    except requests.RequestException as error:
        raise _refused(url, target, _reason(error)) from error
    except OSError as error:
        raise DataError(
            f"cannot be written ({error.strerror})", where=str(target), hint="free some space; it goes on where it was"
        ) from error
    finally:
        if part.is_file() and not _size(part):
            part.unlink()


class _Untrusted(Exception):
    """An answer that is not what was asked for."""


def _open_part(part: Path) -> BinaryIO:
    """The part so far, to add to; a link in its place, which another user may have put there, is not followed."""
    if part.is_symlink():
        part.unlink()
    return os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "r+b")


def _whole(
    http: requests.Session,
    url: str,
    part: Path,
    file: BinaryIO,
    progress: Callable[[int, int | None], None],
    checked_later: bool,
) -> bool:
    """Asks for the rest of a file; whether all of it is there then."""
    validator = _read_validator(part)
    start = _size(part) if validator else 0
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are those of the file itself
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with http.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_S)) as response:
        if start and response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{start}":
            return True  # it was whole, only not moved yet
        if start and (response.status_code == 416 or not _continues(response, start)):
            _validator(part).unlink()  # the server has another file, or no ranges: all of it once more
            return _whole(http, url, part, file, progress, checked_later)
        response.raise_for_status()
        if response.status_code == 206 and not start:
            raise _Untrusted("the server gives a part of the file, which nobody asked for")
        if response.status_code != 206:
            start = 0
            _keep_validator(response, _validator(part))
        total = _total(response, start)
        if total is None and "chunked" not in response.headers.get("Transfer-Encoding", "") and not checked_later:
            raise _Untrusted("the server does not say how long the file is, so that a cut could not be seen")
        file.seek(start)
        file.truncate()
        done = start
        for block in response.iter_content(BLOCK):
            done += file.write(block)
            file.flush()
            progress(done, total)
    return total is None or done == total


def _continues(response: requests.Response, start: int) -> bool:
    """Whether a partial answer begins where it was asked to; a whole one is fine too."""
    found = response.headers.get("Content-Range", "")
    return response.status_code != 206 or found.startswith(f"bytes {start}-")


def _total(response: requests.Response, start: int) -> int | None:
    """The size of the whole file; None where the server does not say it."""
    length = response.headers.get("Content-Length")
    if length is None:
        return None
    if not re.fullmatch("[0-9]{1,18}", length):
        raise _Untrusted(f"the server says a length of {length[:40]!r}")
    return start + int(length)


def _keep_validator(response: requests.Response, validator: Path) -> None:
    """A weak ETag does not say that bytes are the same; without any, the next attempt starts afresh."""
    tag = response.headers.get("ETag", "")
    strong = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    validator.unlink(missing_ok=True)
    if strong and strong.isascii() and strong.isprintable():
        with os.fdopen(os.open(validator, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w", encoding="ascii") as file:
            file.write(strong)


def _read_validator(part: Path) -> str:
    """What was kept; empty where there is none, or it is damaged."""
    try:
        text = _validator(part).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return text if text.isprintable() else ""


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _reason(error: requests.RequestException) -> str:
    """In a few words: the library's own message is a nest of objects."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server says {error.response.status_code} {error.response.reason}"
    text = str(error)
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if "Read timed out" in text:
        return "the server went silent"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "IncompleteRead" in text:
        return "the connection ended early"
    if isinstance(error, requests.ConnectionError):
        return "no connection: is this machine offline?"
    return text.splitlines()[0][:200] if text else type(error).__name__


def _refused(url: str, target: Path, reason: str) -> DataError:
    return DataError(
        f"cannot be downloaded ({reason})",
        where=url,
        hint=f"download it in another way, put it at {target}, and start again",
    )
