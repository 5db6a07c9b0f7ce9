"""The only importer of LoadGen: the SUT, the sample library, settings, the child process, logs."""
