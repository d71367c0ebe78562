"""What the appliers of all kinds of work do alike with events and artefacts."""
