"""The Postgres that Seemory runs by itself: started, shared, stopped, and moved to a newer major version."""
