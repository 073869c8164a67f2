"""Vectors from elsewhere, and to elsewhere."""
