"""What the recorder writes about calls."""
