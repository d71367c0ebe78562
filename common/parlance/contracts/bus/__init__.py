"""The bus contract: subjects, streams and messages of JetStream. One place, both directions."""
