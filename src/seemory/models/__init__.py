"""Pixels and words to vectors: the catalogue, the folders, the encoder."""
