"""One file over HTTP, taken up where it broke off.

What came so far stays in ``.NAME.part`` beside the target, with the server's validator (its ETag, or the date of the
last change) in ``.NAME.part.validator``: the rest is asked for with If-Range (RFC 9110, 13.1.5), so that a file which
changed in between comes whole, never mixed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError

if TYPE_CHECKING:
    import requests

ATTEMPTS = 5
"""In a row without a single byte, once there was one; before that, one is enough to say that there is no way."""
PAUSE_S = 1.0
CONNECT_TIMEOUT_S = 15
SILENCE_TIMEOUT_S = 60
BLOCK = 1 << 18


def download(url: str, target: Path, progress: Callable[[int, int | None], None]) -> None:
    """Writes what is at an address to a file, whole or not at all.

    A broken connection is taken up again at once, and a call that was stopped by the next call.

    Args:
        progress: told the bytes so far, those of an earlier call included, and the size if the server says it.

    Raises:
        DataError: no connection, a refusal of the server, or a disk that cannot be written. Names the address and
            where to put the file by hand.
    """
    import requests

    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        failures, attempts = 0, 1
        with requests.Session() as http:
            while True:
                before = _size(part)
                try:
                    if _whole(http, url, part, progress):
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
    except requests.RequestException as error:
        raise _refused(url, target, _reason(error)) from error
    except OSError as error:
        raise DataError(
            f"cannot be written ({error.strerror})", where=str(target), hint="free some space; it goes on where it was"
        ) from error


def _whole(http: requests.Session, url: str, part: Path, progress: Callable[[int, int | None], None]) -> bool:
    """Asks for the rest of a file; whether all of it is there then."""
    validator = _validator(part)
    start = _size(part) if validator.is_file() else 0
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are those of the file itself
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator.read_text(encoding="ascii")}
    with http.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_S)) as response:
        if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{start}":
            return True  # it was whole, only not moved yet
        if response.status_code == 416:
            validator.unlink()
            return _whole(http, url, part, progress)
        response.raise_for_status()
        if response.status_code != 206:
            start = 0
            _keep_validator(response, validator)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        with part.open("ab" if start else "wb") as file:
            done = start
            for block in response.iter_content(BLOCK):
                done += file.write(block)
                progress(done, total)
    return total is None or done == total


def _keep_validator(response: requests.Response, validator: Path) -> None:
    """A weak ETag does not say that bytes are the same; without any, the next attempt starts afresh."""
    tag = response.headers.get("ETag", "")
    strong = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    validator.unlink(missing_ok=True)
    if strong:
        validator.write_text(strong, encoding="ascii")


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _reason(error: requests.RequestException) -> str:
    """In a few words: the library's own message is a nest of objects."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server says {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.ConnectionError):
        return "no connection: is this machine offline?"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _refused(url: str, target: Path, reason: str) -> DataError:
    return DataError(
        f"cannot be downloaded ({reason})",
        where=url,
        hint=f"download it in another way, put it at {target}, and start again",
    )
