"""A critic: a vision-language model that says in an advisor's manner, and in a fixed form, what it sees."""
