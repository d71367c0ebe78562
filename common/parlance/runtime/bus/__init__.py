"""JetStream: the only package that imports the NATS client.

    client      Bus and open_bus: publishing, pulling, reading, control notes
    connection  kept for ever; how often something is tried
    nats_client the library's client, with its gaps closed
    declare     applies the streams and consumers of `contracts.bus.streams`
    pull        durable consumers: Delivery with ack, nak, in_progress
    tail        ordered following of a stream from now on
    read        one short read of what a stream holds

Everything here survives a restart of the server and the loss of its whole store: what is missing
is declared again, and the caller is told when sequences started anew.
"""

from .client import Bus, StoredJob, open_bus
from .pull import Delivery
from .read import StoredEvent

__all__ = ["Bus", "Delivery", "StoredEvent", "StoredJob", "open_bus"]
