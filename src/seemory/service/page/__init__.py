"""The page that `seemory serve` shows: where people search and look."""
