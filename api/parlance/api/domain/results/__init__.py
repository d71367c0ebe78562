"""What all kinds of work do alike with their results: record them and answer them."""
