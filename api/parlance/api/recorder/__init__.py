"""The recorder process: outbox relay, result writer, deletions, janitor."""
