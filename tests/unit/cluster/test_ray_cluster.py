"""What is said when Ray refuses; Ray's own sentences, made by Ray."""

from __future__ import annotations

import platform
import socket
from typing import Any

import pytest

from harness.cluster.ray_cluster import connected
from harness.errors import BackendError

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install -e '.[cluster]')")


def test_another_version_of_ray_and_python_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private.utils import check_version_info

    def refuse(*given: Any, **more: Any) -> None:
        check_version_info({"ray_version": "2.1.0", "python_version": "3.7.0"}, "10.0.0.1", raise_on_mismatch=True)

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(BackendError) as caught, connected("auto"):
        pass
    assert "\n" not in caught.value.what
    assert "The cluster was started with: Ray: 2.1.0 Python: 3.7.0" in caught.value.what
    assert f"was started with: Ray: {ray.__version__} Python: {platform.python_version()}" in caught.value.what
    assert "the same Ray and Python on all machines" in str(caught.value.hint)


def test_nobody_at_the_address_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(BackendError, match=f"Ray cannot join {address}: .*refused"), connected(address):
            pass
