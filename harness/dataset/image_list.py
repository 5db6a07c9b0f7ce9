"""The images of a folder, all or those of a list: for calibration, which needs no annotations."""

from __future__ import annotations

from pathlib import Path

from harness.errors import DatasetError

_SUFFIXES = (".jpg", ".jpeg", ".png")


def listed_images(folder: Path, list_file: Path | None = None, count: int | None = None) -> list[Path]:
    """The images to take.

    Args:
        folder: where they lie.
        list_file: one name a line, relative to the folder, as MLPerf's calibration lists; empty lines and lines that
            begin with # are left out. None: every .jpg, .jpeg and .png of the folder, by name.
        count: the first so many only.

    Raises:
        DatasetError: no such folder or list, no image, fewer than ``count``, a name that leaves the folder, or names
            of images that are not there (how many, the first three).
    """
    if not folder.is_dir():
        raise DatasetError("no such folder of images", where=str(folder), hint="give --images an existing folder")
    if list_file is None:
        where = str(folder)
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
    else:
        where = str(list_file)
        paths = [_inside(folder, name, where) for name in _names(list_file)]
    if not paths or (count is not None and len(paths) < count):
        raise DatasetError(f"{count or 1} images are asked for, there are {len(paths)}", where=where)
    paths = paths[:count]
    missing = [p.name for p in paths if not p.is_file()]
    if missing:
        first = ", ".join(missing[:3])
        raise DatasetError(
            f"{len(missing)} of its {len(paths)} images are not in {folder}, the first: {first}",
            where=where,
            hint="MLPerf's calibration list names images of train2017, not of val2017",
        )
    return paths


def _names(list_file: Path) -> list[str]:
    try:
        lines = list_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"the list of images cannot be read: {error}", where=str(list_file)) from error
    names = [line.strip() for line in lines]
    return list(dict.fromkeys(name for name in names if name and not name.startswith("#")))


def _inside(folder: Path, name: str, where: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"{name} leaves the folder of images", where=where)
    return path
