"""Vectors to Postgres and back."""
