"""What can be downloaded: the models and datasets of ``configs/downloads.yaml``, and how they come onto the disk."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from harness.download import download
from harness.errors import DataError, UsageError, first_line
from harness.files import sha256_file
from harness.settings import Section, configs_dir, read_yaml, validate
from harness.suggestions import did_you_mean
from harness.terminal import Terminal

PublishedKind = Literal["models", "datasets"]


class PublishedFile(Section):
    """One published file."""

    url: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    """The hash as published; none: there is none."""
    unpack: str | None = None
    """The folder that a zip file holds; none: it stays as it is."""

    @property
    def name(self) -> str:
        """The file's name, the last part of its URL."""
        return PurePosixPath(urlsplit(self.url).path).name


class Published(Section):
    """What goes by one name."""

    what: str
    files: Annotated[tuple[PublishedFile, ...], Field(min_length=1)]


class Catalogue(Section):
    """The file of them all."""

    models: dict[str, Published]
    datasets: dict[str, Published]


def catalogue() -> Catalogue:
    """What is shipped in ``configs/downloads.yaml``."""
    path = configs_dir() / "downloads.yaml"
    return validate(Catalogue, read_yaml(path), str(path))


def published_names(kind: PublishedKind) -> str:
    """What there is to download, for a help text."""
    return ", ".join(getattr(catalogue(), kind))


def get_published(kind: PublishedKind, name: str, folder: Path, terminal: Terminal) -> list[Path]:
    """Downloads, checks and unpacks what goes by that name; what is there already is taken.

    Args:
        folder: where everything of it goes.

    Returns:
        A file, or the folder it was unpacked to, for each.

    Raises:
        UsageError: there is no such name.
        DataError: it cannot be downloaded, is damaged, or the disk cannot be written; says where to put it by hand.
    """
    known = getattr(catalogue(), kind)
    if name not in known:
        hint = did_you_mean(name, known, f"there are: {', '.join(known)}")
        raise UsageError(f"nothing to download is called {name!r}", where="--download", hint=hint)
    return [_get(file, folder, terminal) for file in known[name].files]


def _get(file: PublishedFile, folder: Path, terminal: Terminal) -> Path:
    target = folder / file.name
    unpacked = None if file.unpack is None else folder / file.unpack
    if unpacked is not None and unpacked.is_dir():
        terminal.say(f"{unpacked} is there already")
        return unpacked
    if target.is_file():
        terminal.say(f"{target} is there already")
    else:
        terminal.say(f"from {file.url}")
        with terminal.task(f"Downloading {file.name}", "MB") as report:
            download(
                file.url,
                target,
                lambda done, total: report(done // 10**6, total and -(-total // 10**6)),
                # a zip file that was cut has no list of its files, which is at its end
                checked_later=file.sha256 is not None or file.unpack is not None,
            )
    _check(file, target, terminal)
    if unpacked is None:
        return target
    with terminal.task(f"Unpacking {file.name}"):
        _unpack(target, unpacked)
    target.unlink()
    return unpacked


def _check(file: PublishedFile, target: Path, terminal: Terminal) -> None:
    sha256 = sha256_file(target)
    if file.sha256 is None:
        terminal.say(f"{target}: no checksum of it is published; its sha256 is {sha256}")
    elif sha256 != file.sha256:
        raise DataError(
            f"its sha256 is {sha256}, not {file.sha256} as published",
            where=str(target),
            hint="remove it and download it again",
        )


def _unpack(archive: Path, folder: Path) -> None:
    """Unpacks one folder of a zip file and moves it into place when it is whole."""
    where = str(archive)
    try:
        with (
            zipfile.ZipFile(archive) as packed,
            tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made_in,
        ):
            inside = (folder.name,)
            entries = [entry for entry in packed.infolist() if PurePosixPath(entry.filename).parts[:1] == inside]
            _check_space(sum(entry.file_size for entry in entries), folder.parent)
            packed.extractall(made_in, entries)
            made = Path(made_in) / folder.name
            if not made.is_dir():
                raise DataError(f"holds no folder {folder.name}", where=where, hint="is it the right file?")
            made.rename(folder)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, zlib.error, ValueError) as error:
        what = f"is not a whole zip file ({first_line(error)})"
        raise DataError(what, where=where, hint="remove it and download it again") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, and packed in a way that is not known
        hint = f"unpack it in another way to {folder}, and start again"
        raise DataError(f"cannot be unpacked ({first_line(error)})", where=where, hint=hint) from error
    except OSError as error:
        if folder.is_dir():  # another process was faster
            return
        raise DataError(
            f"cannot be unpacked ({error.strerror})", where=where, hint="free some space there and start again"
        ) from error


def _check_space(needed: int, folder: Path) -> None:
    """Refuses before anything is written what would fill the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"what it holds needs {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free",
            where=str(folder),
            hint="free some space there and start again",
        )
