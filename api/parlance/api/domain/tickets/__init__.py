"""Tickets: conversations in text, analysed without audio and without a custom resource."""
