"""Measuring: how a space is shaped. Arrays in, figures out."""
