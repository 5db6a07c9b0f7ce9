"""One preprocessed image in a file: NumPy's .npy format, and behind the array a checksum of it.

A file can have its right size and wrong content: after a power failure some file systems leave zeros. So the content is
checked whenever it is read.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.files import replacing

CHECKSUM = 4
"""Bytes of the CRC-32 of the array's bytes at the end of the file, little-endian. np.load does not mind them."""


class DamagedTensor(ValueError):
    """The file is not there, is no regular file, or holds something else than the tensor; says which."""


def write_tensor(file: Path, tensor: npt.NDArray[np.uint8]) -> None:
    """Writes the file under a name that nobody else has, and moves it into place.

    It is not synced to the disk: what a power failure does to it shows in its checksum.

    Raises:
        OSError: as writing does, e.g. no space left.
    """
    with replacing(file) as temporary, temporary.open("wb") as stream:
        stream.write(_header(tensor.shape))
        stream.write(tensor.data)
        stream.write(zlib.crc32(tensor.data).to_bytes(CHECKSUM, "little"))


def seems_whole(file: Path, shape: tuple[int, ...]) -> bool:
    """Whether the file has the header and the size of a tensor of this shape; its content is not read."""
    try:
        descriptor = _open(file, shape)
    except DamagedTensor:
        return False
    os.close(descriptor)
    return True


def read_tensor(file: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The tensor of this shape, checked, in memory of its own.

    Raises:
        DamagedTensor: the file cannot be used.
    """
    tensor = np.empty(shape, np.uint8)
    with open(_open(file, shape), "rb", buffering=0) as stream:
        try:
            wanted, got = tensor.data.cast("B"), 0
            while got < len(wanted) and (count := stream.readinto(wanted[got:])):
                got += count
            checksum = stream.read(CHECKSUM)
        except OSError as error:
            raise DamagedTensor(f"cannot be read: {error.strerror}") from error
    if got < len(wanted) or checksum is None or int.from_bytes(checksum, "little") != zlib.crc32(tensor.data):
        raise DamagedTensor("its content is not what was written")
    return tensor


def _open(file: Path, shape: tuple[int, ...]) -> int:
    """A descriptor at the first byte of the array.

    Raises:
        DamagedTensor: the file cannot be opened, or its header or its size is another.
    """
    header = _header(shape)
    try:
        # not through a link, which somebody else may have put there, and without waiting for a pipe's other end
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DamagedTensor(f"cannot be opened: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise DamagedTensor("is no regular file")
        if found.st_size != len(header) + int(np.prod(shape)) + CHECKSUM or os.read(descriptor, len(header)) != header:
            raise DamagedTensor("is cut short, or no tensor of this shape")
    except OSError as error:
        os.close(descriptor)
        raise DamagedTensor(f"cannot be read: {error.strerror}") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _header(shape: tuple[int, ...]) -> bytes:
    described: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": shape}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()
