"""The study of Perceivers: its comparisons, and what writes their tables."""
