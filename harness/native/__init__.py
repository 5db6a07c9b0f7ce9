"""The C++ extensions: the SSD decoder and the tally of samples."""
