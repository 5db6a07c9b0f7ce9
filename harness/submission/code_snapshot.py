"""The code of a submission: this package as it is installed, its configuration and build files, nothing compiled."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from harness.settings import configs_dir

BUILT = {".so", ".pyd", ".dylib", ".pyc", ".pyo"}
"""Suffixes of what a build or Python itself leaves in the package; everything else of it is shipped."""
BUILD_FILES = ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md")
BUILD_FOLDERS = ("scripts", "docs")


def write_code(folder: Path) -> None:
    """Copies the code into a new folder, with the data that the package reads at run time.

    The build files, scripts and docs are there only where the package runs from its checkout; an installed package does
    not have them.
    """
    package = Path(str(files("harness")))
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix not in BUILT and not path.name.startswith("."):
            _copy(path, folder / "harness" / path.relative_to(package))
    configs = configs_dir()
    for path in sorted(configs.rglob("*")):
        if path.is_file() and path.suffix in (".yaml", ".json", ".py"):
            _copy(path, folder / "configs" / path.relative_to(configs))
    checkout = package.parent
    if not (checkout / "setup.cfg").is_file():
        return
    for name in BUILD_FILES:
        if (checkout / name).is_file():
            _copy(checkout / name, folder / name)
    for name in BUILD_FOLDERS:
        for path in sorted((checkout / name).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                _copy(path, folder / name / path.relative_to(checkout / name))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    shutil.copymode(source, target)
