"""The worker: pulls calls from the bus, transcribes them with Triton, analyses them."""
