"""A synthetic dataset in COCO's format: JPEG files and an annotations JSON, the same for the same seed."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from harness.dataset.coco_categories import COCO_CATEGORIES
from harness.dataset.scene import GENERATOR_VERSION, Scene, draw_scene
from harness.errors import DataError, DatasetError
from harness.settings import cache_dir

MARKER = "synthetic.json"
"""Says how the set was made, with the sha256 of each of its files: written last."""
ANNOTATIONS = "instances.json"
IMAGES = "images"


def cached_synthetic(*, images: int, seed: int, progress: Callable[[int, int], None]) -> tuple[Path, Path]:
    """`write_synthetic` in the cache, where each version of the generator has sets of its own."""
    name = f"{images}-images-seed-{seed}-generator-{GENERATOR_VERSION}"
    folder = cache_dir() / "synthetic" / name
    if folder.is_dir() and _marker(folder) is None:  # the cache is ours: what is damaged there is made again
        shutil.rmtree(folder, ignore_errors=True)
    return write_synthetic(folder, images=images, seed=seed, progress=progress)


def write_synthetic(folder: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> tuple[Path, Path]:
    """Writes the dataset, or takes the one that is there when it was made the same way and is undamaged.

    Image i depends on the seed and i alone: a smaller set is the beginning of a larger one. The set is made in another
    folder and moved into place when it is whole.

    Args:
        folder: of the set; must not exist, be empty, or hold a synthetic set of the same seed and size.
        images: how many, 1 or more.
        seed: 0 or more.

    Returns:
        The images folder and the annotations file.

    Raises:
        DatasetError: the folder holds something else.
        DataError: it cannot be written.
    """
    if images < 1 or seed < 0:
        raise DatasetError(f"no synthetic set has {images} images and the seed {seed}", hint="1 or more, and 0 or more")
    wanted = {"generator": GENERATOR_VERSION, "images": images, "seed": seed}
    result = folder / IMAGES, folder / ANNOTATIONS
    there = _marker(folder)
    if there is not None and {key: there.get(key) for key in wanted} != wanted:
        raise DatasetError("holds another synthetic set", where=str(folder), hint="name another folder or remove it")
    if there is not None and _is_whole(folder, there):
        progress(images, images)
        return result
    if there is None and folder.exists() and any(folder.iterdir()):
        raise DatasetError("is not empty, and not a synthetic set", where=str(folder), hint="name another folder")

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made_in:
            made = Path(made_in) / "set"
            _write(made, wanted, progress)
            if there is not None:  # damaged
                folder.rename(Path(made_in) / "damaged")
            made.rename(folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and (whole := _marker(folder)) and _is_whole(folder, whole):
            return result  # another process was faster
        raise DataError(
            f"the synthetic set cannot be written: {error.strerror}",
            where=str(folder),
            hint="free some space there, or name another folder",
        ) from error
    return result


def _marker(folder: Path) -> dict[str, Any] | None:
    """What the set in the folder was made with; None if there is none."""
    if folder.exists() and not folder.is_dir():
        raise DatasetError("is not a folder", where=str(folder))
    try:
        marker = json.loads((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and isinstance(marker.get("sha256"), dict) else None


def _is_whole(folder: Path, marker: dict[str, Any]) -> bool:
    try:
        return all(_sha256((folder / name).read_bytes()) == sha256 for name, sha256 in marker["sha256"].items())
    except OSError:
        return False


def _write(folder: Path, made_with: dict[str, int], progress: Callable[[int, int], None]) -> None:
    (folder / IMAGES).mkdir(parents=True)
    count, seed = made_with["images"], made_with["seed"]
    sha256: dict[str, str] = {}
    image_records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        progress(index, count)
        scene = draw_scene(seed, index)
        name = f"{index + 1:012d}.jpg"
        encoded = _encode(scene)
        (folder / IMAGES / name).write_bytes(encoded)
        sha256[f"{IMAGES}/{name}"] = _sha256(encoded)
        height, width = scene.pixels.shape[:2]
        image_records.append({"id": index + 1, "file_name": name, "width": width, "height": height, "license": 1})
        for item in scene.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": COCO_CATEGORIES[item.category].id,
                    "bbox": [item.left, item.top, item.width, item.height],
                    "area": round(item.area, 2),
                    "iscrowd": 0,
                }
            )
    document = {
        "info": {
            "description": "Synthetic: coloured shapes under the ids and names of COCO's categories, no photographs",
            "synthetic": True,
            **made_with,
        },
        "licenses": [{"id": 1, "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}],
        "images": image_records,
        "annotations": annotations,
        "categories": [category._asdict() for category in COCO_CATEGORIES],
    }
    content = json.dumps(document).encode()
    (folder / ANNOTATIONS).write_bytes(content)
    sha256[ANNOTATIONS] = _sha256(content)
    (folder / MARKER).write_text(json.dumps({**made_with, "sha256": sha256}, indent=1))
    progress(count, count)


def _encode(scene: Scene) -> bytes:
    pixels = scene.pixels if scene.pixels.ndim == 2 else cv2.cvtColor(scene.pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg_quality])
    return np.asarray(encoded).tobytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
