"""Free TCP ports on loopback, for servers that cannot take port 0 and tell which one they got.

A port is free when it is given out, not for ever: between `find_free_port` and the server's bind
somebody else may take it. The kernel hands out ephemeral ports in a random order, and this process
never gives out the same one twice, so that does not happen in practice; a server that loses the
race ends at once with its own message.
"""

import socket

LOOPBACK = "127.0.0.1"

_given_out: set[int] = set()


def find_free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on and that was not given out before."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in _given_out:
            _given_out.add(port)
            return port
