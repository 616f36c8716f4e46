"""Scripts a person can read in one go; each is run by a test."""
