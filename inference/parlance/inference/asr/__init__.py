"""Speech recognition as the worker sees it: one window of speech in, text with times out."""
