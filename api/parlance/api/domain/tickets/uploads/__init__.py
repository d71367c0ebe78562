"""How tickets come in over HTTP: one, many, or a pasted conversation."""
