"""Readers that turn the official layouts of the papers' data sets into our folder format."""
