"""The page: its routes, and what a browser makes of it."""
