"""A test on several nodes: sessions, tensors and decoding lie there; indices go out, and accuracy records come back."""
