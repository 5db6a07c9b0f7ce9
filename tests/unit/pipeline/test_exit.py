"""An interpreter that ends while threads are in native code ends quietly."""

from __future__ import annotations

import subprocess
import sys

import pytest

DECODING = """
import threading, time
from harness.model.registry import load_model
model = load_model("ssd_resnet34")
outputs, decoder = model.example_outputs(0, quantized=True), model.decoder("native")
def decode():
    while True:
        decoder.decode(outputs)
for _ in range(4):
    threading.Thread(target=decode, daemon=True).start()
time.sleep(0.2)
"""
WAITING = """
import threading, time
from harness.pipeline.mailbox import new_mailbox
mailbox = new_mailbox()
def wait():
    while True:
        mailbox.get(0.0001, 0)
threading.Thread(target=wait, daemon=True).start()
time.sleep(0.2)
"""


@pytest.mark.parametrize("program", [DECODING, WAITING], ids=["decoding", "waiting"])
def test_an_interpreter_ends_quietly_while_daemon_threads_are_in_native_code(program: str) -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
