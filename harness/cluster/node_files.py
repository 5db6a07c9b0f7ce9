"""A node's files: the model and the images at the host's path, at one of the node's own, or sent by the host."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from harness.cluster.messages import ImageSource, NodeSetup
from harness.dataset.tensors import CachedTensors, DirectTensors
from harness.errors import DataError
from harness.files import replacing, sha256_file
from harness.model.file_hash import sha256_of_model
from harness.pipeline.system_under_test import SystemUnderTest
from harness.rounds import round_sha256
from harness.settings import cache_dir

IMAGES_VARIABLE = "SSD_HARNESS_NODE_IMAGES"
MODEL_VARIABLE = "SSD_HARNESS_NODE_MODEL"
CANNOT_KEEP = "make room there, or put the file where the node looks for it first; SSD_HARNESS_CACHE moves the cache"


def own_model(given: Path | None) -> Path | None:
    """The node's own model file, or the host's path where it has none."""
    own = os.environ.get(MODEL_VARIABLE)
    return Path(own) if own and given is not None else given


class NodeFiles:
    """What a test needs of files, looked for on this machine.

    Args:
        setup: the paths in it are the host's.
    """

    def __init__(self, setup: NodeSetup) -> None:
        self._setup = setup
        self._folder = cache_dir() / "from-host"
        self._images: list[Path] = []
        self._arriving: dict[str, bytearray] = {}

    @property
    def system(self) -> SystemUnderTest:
        """As the host has it, with the model file of this machine."""
        return replace(self._setup.system, model_file=self._model())

    def round_sha256(self) -> str | None:
        """Of the round's rules here; None where it is a file that only the host has."""
        return round_sha256(self._setup.round)

    def model_sha256(self) -> str | None:
        """Of the model file here; None where there is none."""
        model = self._model()
        return sha256_of_model(model) if model is not None and model.is_file() else None

    def look_for_images(self) -> tuple[tuple[int, ...], str | None]:
        """Which samples' images are missing here, and the first that is another one than the host's.

        Where the tensor cache has an image's tensor, the image itself is not looked for.
        """
        source, digests = self._setup.source, self._setup.images_sha256
        missing: list[int] = []
        if not isinstance(source, CachedTensors | DirectTensors):
            return (), None
        here = source.elsewhere(self._tensors, source.files)
        folder = os.environ.get(IMAGES_VARIABLE)
        self._images = []
        for index, (file, digest) in enumerate(zip(source.files, digests, strict=True)):
            own = Path(folder) / file.name if folder else file
            kept = self._kept(digest, file)
            self._images.append(kept if not own.is_file() else own)
            if here.holds(index) or (not own.is_file() and kept.is_file()):
                continue
            if not own.is_file():
                missing.append(index)
            elif sha256_file(own) != digest:
                return (), str(own)
        return tuple(missing), None

    def keep(self, digest: str, name: str, content: bytes) -> None:
        """Takes the next piece of a file; an empty one ends it, and then it is kept.

        Raises:
            DataError: what came is not what was announced, or cannot be written.
        """
        if content:
            self._arriving.setdefault(digest, bytearray()).extend(content)
            return
        whole, file = self._arriving.pop(digest, bytearray()), self._kept(digest, Path(name))
        if hashlib.sha256(whole).hexdigest() != digest:
            raise DataError(f"{name} arrived with another content", where=str(file))
        try:
            with replacing(file) as temporary:
                temporary.write_bytes(whole)
        except OSError as error:  # a full disk's has no file's name
            raise DataError(error.strerror or str(error), where=str(file), hint=CANNOT_KEEP) from error

    def source(self) -> ImageSource:
        """Gives the samples' tensors here."""
        source = self._setup.source
        if isinstance(source, CachedTensors | DirectTensors):
            return source.elsewhere(self._tensors, self._images)
        return source

    def _kept(self, digest: str, name: Path) -> Path:
        return self._folder / f"{digest}{name.suffix}"

    @property
    def _tensors(self) -> Path:
        return cache_dir() / "tensors"

    def _model(self) -> Path | None:
        given = self._setup.system.model_file
        if given is None:
            return None
        own = own_model(given)
        if own != given:
            return own
        kept = self._kept(self._setup.model_file_sha256, given)
        return kept if not given.is_file() and kept.is_file() else given
