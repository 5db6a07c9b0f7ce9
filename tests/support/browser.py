"""A headless Chromium, driven through its DevTools pipe: what a page logs, asks for, holds and looks like."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
LIMIT_S = 90


def chromium() -> str | None:
    """Where Chromium is, None where it is not installed."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


class Page:
    """A page in a Chromium of its own, which ends with the block.

    Attributes:
        messages: what the console and the browser's log have had to say since it was opened.
        requests: every URL that was asked for, but for data: URLs.
    """

    def __init__(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self._number = 0
        self._buffer = b""
        self._profile = tempfile.TemporaryDirectory(prefix="ssd-harness-chromium-", ignore_cleanup_errors=True)
        ours_read, from_chromium = os.pipe()
        to_chromium, ours_write = os.pipe()
        # Chromium reads file 3 and writes file 4: ours may have any number, but not one of these two
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_chromium, from_chromium)]
        command = [f"{chromium()}", *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        wired = ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", *command]
        self._process = subprocess.Popen(wired, pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in (to_chromium, from_chromium, *theirs):
            os.close(end)
        self._from, self._to = ours_read, ours_write
        self._session: str | None = None
        try:
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self._call(f"{domain}.enable")
            self.resize(width, height)
            self.prefer(dark=dark)
            self._call("Page.navigate", url=url)
            self._until(lambda: self.evaluate("document.readyState") == "complete")
        except BaseException:
            self.close()
            raise

    def resize(self, width: int, height: int) -> None:
        """The viewport, in CSS pixels; below 500 it is a phone's."""
        phone = width < 500
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def prefer(self, *, dark: bool) -> None:
        """The user's colour scheme."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[feature])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; one that fails is an AssertionError."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, *, top: int = 0, height: int | None = None) -> bytes:
        """A PNG of the page from ``top`` on, whole or so many pixels high."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": height or size["height"] - top, "scale": 1}
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self._call("Page.printToPDF", printBackground=False)["data"])

    def settle(self, seconds: float = 0.3) -> None:
        """Lets the page draw, and takes in what it has to say."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.evaluate("new Promise(done => requestAnimationFrame(() => done(1)))")

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the browser."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)
        os.close(self._to)
        self._profile.cleanup()

    def _until(self, condition: Any) -> None:
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end, "the page did not load"
            time.sleep(0.05)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._from, 1 << 20)
            assert chunk, "Chromium has ended"
            self._buffer += chunk
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled":
                said = " ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"])
                self.messages.append(f"{params['type']}: {said}")
            case "Runtime.exceptionThrown":
                self.messages.append(f"exception: {params['exceptionDetails']}")
            case "Log.entryAdded":
                self.messages.append(f"{params['entry']['level']}: {params['entry']['text']}")
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith("data:"):
                    self.requests.append(url)


def page_of(path: Path, **options: Any) -> Page:
    """A page from a file, as a double click opens it."""
    return Page(path.resolve().as_uri(), **options)
