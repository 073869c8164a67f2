"""From one encoder to another while searches go on, and the vectors that are still missing."""
