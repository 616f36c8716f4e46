"""Image encoders and classifiers, and resizing."""
