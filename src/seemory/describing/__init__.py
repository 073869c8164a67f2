"""The words of items: what people say of them, from where they come, and their sentence vectors."""
