"""Whether this process can work, and the limits that clients can run into."""
