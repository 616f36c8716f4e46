"""Painters and paintings: bundles are loaded, captions painted, and every PNG remembers how it was made."""
