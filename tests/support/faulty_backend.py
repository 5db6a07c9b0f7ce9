"""A backend that goes wrong as told: named in tests by its module, ``tests.support.faulty_backend``."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any

import numpy as np

from harness.errors import BackendError
from harness.sessions.protocol import SessionRequest

SIMULATED = True


class FaultySession:
    def __init__(self, request: SessionRequest) -> None:
        self.input, self.outputs = request.input, request.outputs
        self._fault = request.options.get("fault")
        self._at = request.options.get("at", 10)
        self._outputs = request.example_outputs(0, quantized=False)
        self._runs = 0
        if self._fault == "open":
            raise BackendError("the driver is not loaded", hint="load it")
        if self._fault == "slow open":
            time.sleep(60)

    def run(self, images: np.ndarray[Any, Any]) -> Any:
        self._runs += 1
        time.sleep(0.001)
        if self._runs == self._at:
            if self._fault == "error":
                raise RuntimeError("device lost")
            if self._fault == "hang":
                time.sleep(60)
            if self._fault == "crash":
                os.write(1, b"last words\n")
                ctypes.string_at(0)
            if self._fault == "exit":
                os._exit(7)
        return self._outputs

    def close(self) -> None:
        if self._fault == "close error":
            raise OSError("the driver is busy")
        if self._fault == "close hang":
            time.sleep(60)
        if self._fault == "close crash":
            ctypes.string_at(0)

    def __enter__(self) -> FaultySession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_session(request: SessionRequest) -> FaultySession:
    return FaultySession(request)


def default_devices(*, throughput: bool) -> str:
    return "faulty*2" if throughput else "faulty"


def describe() -> dict[str, object]:
    return {"version": "0"}
