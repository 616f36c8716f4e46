"""Captions to tokens to vectors: tokenisers, vocabularies, text encoders."""
