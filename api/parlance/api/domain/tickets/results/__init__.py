"""What the recorder writes about tickets."""
