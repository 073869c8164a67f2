"""Files become vectors: in threads here, or on the workers of a Ray cluster."""
