"""Models: what goes in, what comes out, and how the one becomes the other."""

from harness.model.ssd_resnet34.native_decoder import NativeDecoder
from harness.model.ssd_resnet34.numpy_decoder import NumpyDecoder

__all__ = ["NativeDecoder", "NumpyDecoder"]
