"""Readers of the kernel: one file a source, each registered by one line (`base`)."""
