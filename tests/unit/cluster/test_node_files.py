"""A node finds its files at the host's path, at a path of its own, or is sent them once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from harness.cluster.messages import Identity, NodePlace, NodeSetup
from harness.cluster.opening import prepare
from harness.dataset.tensor_cache import TensorCache
from harness.errors import DataError
from harness.model.file_hash import sha256_of_model
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.system_under_test import SystemUnderTest
from harness.rounds import round_sha256
from harness.settings import BackendSettings, ModelSettings
from harness.source_code import code_sha256
from harness.version import __version__
from tests.support.thread_nodes import ThreadNode

SHAPE = (3, 2, 2)


def preprocess(encoded: bytes) -> Any:
    return np.full(SHAPE, encoded[0], np.uint8)


class Scene:
    """A host with three images and a model, and a node whose disk is another one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.images = [folder / "host" / f"{k}.jpg" for k in range(3)]
        self.images[0].parent.mkdir()
        for k, image in enumerate(self.images):
            image.write_bytes(bytes([k + 65]) * 10)
        self.model = folder / "host" / "model.bin"
        self.model.write_bytes(b"model" * 1000)
        cache = TensorCache(folder / "host" / "tensors", preprocess, "key", SHAPE)
        source = cache.build(self.images, lambda done, total: None)
        backend = BackendSettings(name="simulated", options={"latency_ms": 1})
        settings = ModelSettings(decoder="none")
        system = SystemUnderTest("title", "offline", False, settings, self.model, backend, 120, 900, None, ())
        place = NodePlace("n0", "", (DeviceSlot(0, "simulated"),), own_cores=True)
        self.setup = NodeSetup(
            place, system, "v2.0", source, tuple(source.image_digests()), hashlib.sha256(b"model" * 1000).hexdigest()
        )
        self.own = Identity(__version__, code_sha256(), round_sha256("v2.0"), sha256_of_model(self.model))
        self.cache = folder / "node-cache"
        monkeypatch.setenv("SSD_HARNESS_CACHE", str(self.cache))
        self.sent: list[str] = []
        self.seen_by_node = self.setup

    def open(self) -> list[int]:
        """What the node has in memory of each sample, after all it takes to open it."""
        remote = ThreadNode(self.setup.place)
        node: Any = remote.node
        prove, keep = node.prove, node.keep
        node.prove = lambda setup: prove(self.seen_by_node)

        def kept(pieces: Any) -> None:
            self.sent.extend(name for _, name, content in pieces if content)
            keep(pieces)

        node.keep = kept
        prepare([remote], [self.setup], self.own, lambda: None, 60)
        node.load([0, 1, 2])
        tensors = [int(node._tensors[index][0, 0, 0, 0]) for index in range(3)]
        node.close()
        return tensors

    def away(self) -> None:
        """The host's paths are not there for the node."""
        elsewhere, source = self.folder / "elsewhere", cast(Any, self.setup.source)
        self.seen_by_node = replace(
            self.setup,
            source=source.elsewhere(self.folder, [elsewhere / image.name for image in self.images]),
            system=replace(self.setup.system, model_file=elsewhere / "model.bin"),
        )


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_files_at_the_hosts_path_are_used_and_nothing_is_sent(scene: Scene) -> None:
    assert scene.open() == [65, 66, 67]
    assert scene.sent == []


def test_files_at_the_nodes_own_path_are_used(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.away()
    monkeypatch.setenv("SSD_HARNESS_NODE_IMAGES", str(scene.images[0].parent))
    monkeypatch.setenv("SSD_HARNESS_NODE_MODEL", str(scene.model))
    assert scene.open() == [65, 66, 67]
    assert scene.sent == []


def test_what_is_missing_is_sent_once_and_kept(scene: Scene) -> None:
    scene.away()
    assert scene.open() == [65, 66, 67]
    assert sorted(scene.sent) == ["0.jpg", "1.jpg", "2.jpg", "model.bin"]
    assert len(list((scene.cache / "from-host").iterdir())) == 4
    scene.sent.clear()
    assert scene.open() == [65, 66, 67]
    assert scene.sent == []


def test_a_node_that_cannot_keep_what_is_sent_is_named(scene: Scene) -> None:
    scene.away()
    scene.cache.mkdir()
    (scene.cache / "from-host").write_text("in the way")
    with pytest.raises(DataError) as raised:
        scene.open()
    assert str(raised.value.where).startswith(f"node n0: {scene.cache / 'from-host'}/")


def test_an_image_that_differs_is_named(scene: Scene) -> None:
    scene.images[1].write_bytes(b"another")
    with pytest.raises(DataError, match="another one than the host's") as raised:
        scene.open()
    assert raised.value.where == f"node n0: {scene.images[1]}"


def test_a_model_that_differs_is_named(scene: Scene) -> None:
    scene.model.write_bytes(b"another")
    with pytest.raises(DataError, match=r"the model has sha256 .* there and .* here") as raised:
        scene.open()
    assert raised.value.where == "node n0"
