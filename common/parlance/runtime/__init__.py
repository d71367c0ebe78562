"""Floor 1: adapters to the outside, one per module. May import contracts, nothing above."""
