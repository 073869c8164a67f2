"""Strangers' pictures, decoded in processes that can do little: bounded memory and time, no files, no settings."""
