"""Metrics; a metric is named after its protocol."""
