"""Backends by name: our own, those of other packages, and modules by their dotted name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import BackendError, UsageError
from harness.sessions import registry
from harness.sessions.registry import backend_names, list_backends, load_backend
from tests.support import fake_furiosa

Offer = Callable[[str, str], None]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Puts a package on the path that offers a backend of that name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, source: str) -> None:
        module = f"offered_{name}"
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINT}]\n{name} = {module}\n")

    return install


def test_every_backend_of_ours_is_named_whether_it_is_installed_or_not() -> None:
    assert {"furiosa", "onnxruntime", "openvino", "simulated"} <= set(backend_names())


def test_another_packages_backend_is_found_by_its_entry_point(offer: Offer) -> None:
    offer("acme", 'SIMULATED = False\ndef describe(): return {"version": 3, "devices": ("a", "b")}\n')
    (info,) = (info for info in list_backends() if info.name == "acme")
    assert (info.installed, info.simulated, info.version, info.devices) == (True, False, "3", ("a", "b"))
    assert load_backend("acme").SIMULATED is False


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import acme_sdk", "its runtime cannot be imported: No module named 'acme_sdk'"),
        ("raise OSError('libacme.so: no such file')", "its runtime cannot be imported: libacme.so: no such file"),
        ("raise RuntimeError('no driver')", "its runtime cannot be imported: no driver"),
    ],
)
def test_one_whose_runtime_is_missing_is_listed_with_the_reason(offer: Offer, source: str, message: str) -> None:
    offer("acme", source)
    (info,) = (info for info in list_backends() if info.name == "acme")
    assert not info.installed
    assert (info.missing, info.remedy) == (message, "install its package and what that needs")
    with pytest.raises(BackendError, match="backend acme: its runtime cannot be imported"):
        load_backend("acme")


def test_a_package_cannot_take_the_name_of_one_of_ours(offer: Offer) -> None:
    offer("simulated", "raise ValueError")
    assert load_backend("simulated").SIMULATED


def test_an_unknown_name_says_what_there_is_and_what_installs_it() -> None:
    with pytest.raises(UsageError) as caught:
        load_backend("tensorrtx")
    hint = str(caught.value.hint)
    assert hint.startswith(
        "there are: furiosa (pip install furiosa-runtime), onnxruntime, openvino (pip install openvino"
    )
    with pytest.raises(UsageError) as caught:
        load_backend("opnvino")
    assert caught.value.hint == "did you mean 'openvino'?"


def test_one_that_is_not_installed_says_what_installs_it() -> None:
    with fake_furiosa.without_package(), pytest.raises(BackendError) as caught:
        load_backend("furiosa")
    assert caught.value.hint == "pip install furiosa-runtime"


def test_a_missing_driver_is_in_the_list() -> None:
    with fake_furiosa.without_driver():
        (info,) = (info for info in list_backends() if info.name == "furiosa")
    assert "libfuriosa_hal.so" in str(info.missing)
    assert "furiosa-libhal-warboy" in str(info.remedy)


def test_a_module_is_a_backend_by_its_dotted_name() -> None:
    assert load_backend("tests.support.faulty_backend").describe() == {"version": "0"}
