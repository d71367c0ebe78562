"""Events of the bus, spread to the clients that follow them."""
