"""SSD-ResNet34 at 1200×1200: graph, preprocessing, decoders, labels, the default model."""
