"""What is remembered in words: taken in, merged with what is nearly the same, and found again beside pictures."""
