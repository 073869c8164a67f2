"""Seemory: a visual memory on Postgres."""
