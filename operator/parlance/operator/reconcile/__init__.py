"""The reconcile loop: thin I/O around `planning`."""
