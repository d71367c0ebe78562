"""How calls come in over HTTP: a form with a file, or an address."""
