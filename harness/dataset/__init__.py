"""Images and annotations in COCO's format: the index, the tensor cache, synthetic sets."""
