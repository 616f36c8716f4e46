"""The data set faces: see README.md."""
