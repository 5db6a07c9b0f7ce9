"""The C++ extensions: the SSD decoder, and what the pipeline needs beside its thread."""
