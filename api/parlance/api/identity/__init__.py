"""Who asks: API keys, the principal behind one, and what it may do."""
