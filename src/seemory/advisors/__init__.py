"""What a photographer's works say about a picture: its craft in eight dimensions, and the works that are like it."""
