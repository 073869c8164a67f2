"""Measuring encoders, collections and indexes: what `seemory evaluate` does. The figures are `evaluation`'s."""
