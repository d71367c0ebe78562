"""What is worth knowing about a conversation, as values."""
