"""Whether this process can work."""
