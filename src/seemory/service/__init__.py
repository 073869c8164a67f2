"""One owner's memory over HTTP, for this machine."""
