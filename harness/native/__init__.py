"""The C++ extensions: the decoders, and the pipeline's decode pool, mailbox and records of samples."""
