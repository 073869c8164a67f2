"""A compact copy of one owner's vectors in this process: it names candidates, and Postgres answers (docs/search.md)."""
