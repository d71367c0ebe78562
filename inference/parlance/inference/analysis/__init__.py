"""What is worth knowing about a call: analysers, their isolation, their results."""
