"""A picture embedder for workers that must not stop: it never raises, and its time limit holds."""
