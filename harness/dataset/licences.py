"""The images of a COCO dataset that have certain licences, as an annotations file of their own."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from harness.errors import DatasetError
from harness.files import write_text


def keep_licences(annotations: Path, licences: Collection[int], output: Path) -> int:
    """Writes the annotations of the images with one of the licences, in the same order; gives how many there are.

    Args:
        annotations: a COCO instances JSON whose images have a ``license``.
        licences: ids of COCO's list of licences.
        output: the file that is written; categories and everything else are the same in it.

    Raises:
        DatasetError: the annotations cannot be read, or no image of them has one of the licences.
    """
    try:
        document = json.loads(annotations.read_bytes())
        images = [image for image in document["images"] if image.get("license") in licences]
        kept = {image["id"] for image in images}
        boxes = [box for box in document["annotations"] if box["image_id"] in kept]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"is not a COCO annotations file: {error}", where=str(annotations)) from error
    if not images:
        what = f"no image has a licence of {', '.join(map(str, sorted(licences)))}"
        hint = "the official instances_val2017.json has a license for each image"
        raise DatasetError(what, where=str(annotations), hint=hint)
    write_text(output, json.dumps({**document, "images": images, "annotations": boxes}))
    return len(images)
