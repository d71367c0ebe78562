"""Floor 0: the values that processes exchange. Standard library and pydantic only, no I/O."""
