"""The native decoder's edges: where it was not built, and which instruction set it uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

import harness.native
from harness.errors import BackendError, UsageError
from harness.model import NativeDecoder, NumpyDecoder
from harness.model.native_extension import available_simd
from harness.model.ssd_resnet34.example_outputs import example_outputs


@pytest.fixture
def not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(harness.native, "_decode", raising=False)
    monkeypatch.setitem(sys.modules, "harness.native._decode", None)


@pytest.mark.usefixtures("not_built")
def test_without_the_extension_the_native_decoder_says_so_and_numpy_works() -> None:
    with pytest.raises(BackendError) as refused:
        NativeDecoder()
    assert str(refused.value).startswith("the native postprocessor: the C++ extension is not available (")
    assert "next: install again with g++ 9 or clang 10 or newer" in str(refused.value)
    assert len(NumpyDecoder().decode(example_outputs(0, quantized=False))) > 0


def test_the_fastest_instruction_set_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSD_HARNESS_SIMD", raising=False)
    assert NativeDecoder().simd == available_simd()[0]
    assert available_simd()[-1] == "baseline"


def test_the_environment_forces_an_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSD_HARNESS_SIMD", "baseline")
    assert NativeDecoder().simd == "baseline"


def test_an_instruction_set_that_this_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSD_HARNESS_SIMD", "sve9")
    with pytest.raises(UsageError, match=r"cannot run 'sve9'; it can run .*baseline\n  next: unset SSD_HARNESS_SIMD"):
        NativeDecoder()


def test_importing_the_models_imports_nothing_heavy() -> None:
    heavy = "import sys, harness.model; print({'onnxruntime', 'cv2', 'pandas', 'onnx', 'rich'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", heavy], text=True) == "set()\n"
