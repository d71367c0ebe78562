"""Which network addresses may be reached on behalf of a client: only what is truly public.

`ipaddress.is_global` is no guard: it calls NAT64 and 6to4 forms of 127.0.0.1, multicast and the
metadata address of a cloud global. Here the ranges are listed. Used by `runtime.fetch`.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DENIED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; also metadata of one cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # platform address of one cloud, reachable from every machine of it
        "169.254.0.0/16",  # link-local, metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
"""All that is handed out to the internet. Everything outside is refused, whatever it is for."""
_DENIED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4 wraps any IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""In clusters without IPv4 every public IPv4 host looks like this, so the wrapped one decides."""

_DENIED_NAMES = ("localhost", "local", "internal", "svc", "cluster.local", "home.arpa")


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be reached although it is not public: exact host names and networks."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def has_name(self, name: str) -> bool:
        return name in self.names

    def has_address(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def parse_allow_list(entries: Iterable[str]) -> AllowList:
    """Entries are host names (`pbx.corp.example`), addresses or networks (`10.2.0.0/16`)."""
    names, networks = set(), []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry.strip(), strict=False))
        except ValueError:
            names.add(entry.strip().lower().rstrip("."))
    return AllowList(frozenset(names), tuple(networks))


def is_private_name(name: str) -> bool:
    """Names that only mean something inside a machine, a cluster or an office."""
    return any(name == denied or name.endswith(f".{denied}") for denied in _DENIED_NAMES)


def is_public(address: Address) -> bool:
    """Whether everybody on the internet could reach it."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _DENIED_V4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _PUBLIC_V6 and not any(address in network for network in _DENIED_V6)
