"""Finding: queries become vectors and words, channels answer, their lists become one."""
