"""From what a client sends to conversations: parsing and validation, without any I/O."""
