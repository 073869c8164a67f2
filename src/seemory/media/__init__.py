"""Files to pixels: finding pictures, opening them safely, and what they say of themselves."""
