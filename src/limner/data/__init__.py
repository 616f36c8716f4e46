"""Captioned pictures on disk to batches; the built-in data sets."""
