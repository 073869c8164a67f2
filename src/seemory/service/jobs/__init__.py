"""Long work that a request begins and that outlives it: jobs, how far they are, and their end."""
