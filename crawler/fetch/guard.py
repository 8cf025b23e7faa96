"""Which addresses may be connected to: the public internet, and what the user named.

The question is asked at connect time, of the address that the connection then goes to. So it does not matter how the
address was come by: a literal in a link, a name that resolves to a private network, a name that resolves differently
the second time (DNS rebinding), a redirect, or an IPv4 address in an IPv6 coat. Decimal, octal and shortened IPv4
forms were made plain by the URL standard's parser before; a user name that looks like a host is no host to it.

Pure, but for one memory: which named hosts have ever been public.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable

from crawler.spider import url as urls

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_6TO4 = ipaddress.ip_network("2002::/16")
# is_global of Python before 3.11.10 and 3.12.4 calls these global, or does not know them: IANA's special-purpose
# registries as of 2024 (RFC 6890 and its updates).
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
        "::/96",
    )
)
# Where clouds tell a machine its credentials, beside the link-local addresses that most of them use.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "fd00:ec2::254",  # AWS: EC2 User Guide, "Access instance metadata for an EC2 instance"
            "fd00:ec2::23",  # AWS: EKS User Guide, "Set up the Amazon EKS Pod Identity Agent"
            "fd20:ce::254",  # Google: Compute Engine, "View and query VM metadata"
            "fd00:42::42",  # Scaleway: "Understanding Instance metadata"
            "100.100.100.200",  # Alibaba: Elastic Compute Service, "Instance metadata"
            "192.0.0.192",  # Oracle: Compute Classic, "Retrieving Instance Metadata"
            "168.63.129.16",  # Microsoft: Azure, "What is IP address 168.63.129.16?"; looks public
        ),
    )
)


class BlockedAddress(Exception):
    """A connection that the guard refuses. Not an OSError: it is no fault of the network, and nobody tries again."""


@functools.lru_cache(maxsize=4096)
def is_public(address: str) -> bool:
    """Whether an address, as a resolver or a URL gives it, belongs to the public internet. False for what is none."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = _embedded(parsed)
        if inner is not None:
            return is_public(str(inner))
    return (
        parsed.is_global
        and not parsed.is_multicast
        and parsed not in _METADATA
        and not any(parsed in network for network in _SPECIAL if network.version == parsed.version)
    )


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a mapped, translated or tunnelled IPv6 address leads to (RFC 4291, 6052, 3056)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _6TO4:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None


def may_hold_credentials(address: str) -> bool:
    """Whether an address is the machine's own neighbourhood, or one of those where clouds keep the machine's
    credentials."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = _embedded(parsed) or parsed
    return parsed.is_link_local or parsed in _METADATA


class Guard:
    """Says which of a host's addresses may be used.

    allow_private: everything may, but for what may hold credentials and is not named. named: whether a start URL named
    this host key; its private addresses are then allowed, unless the name has pointed to a public address before: a
    name that moves from the public internet into a private network during a crawl is how DNS rebinding works.
    """

    def __init__(self, *, allow_private: bool, named: Callable[[str], bool]) -> None:
        self._allow_private = allow_private
        self._named = named
        self._were_public: set[str] = set()  # host keys that start URLs named: as few as those

    def check(self, host: str, addresses: Iterable[str]) -> list[str]:
        """The addresses that may be connected to for this host key, in order.

        Raises BlockedAddress if none is left.
        """
        found = list(addresses)
        if self._allow_private:
            usable = [address for address in found if not may_hold_credentials(address) or self._named(host)]
            if usable or not found:
                return usable
            raise BlockedAddress(
                f"{host} is at {found[0]}, where a cloud may keep credentials: a start URL must name the host"
            )
        public = [address for address in found if is_public(address)]
        if public:
            if self._named(host):
                self._were_public.add(host)
            return public
        if not found or (self._named(host) and host not in self._were_public):
            return found
        raise BlockedAddress(f"{host} is at {found[0]}, which is not on the public internet")

    def check_name(self, host: str) -> None:
        """What can be said of a host that a proxy will resolve: an address, or a name for this machine.

        Raises BlockedAddress.
        """
        name = urls.host_name(host).strip("[]")
        if name == "localhost" or name.endswith(".localhost"):
            name = "127.0.0.1"
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return
        self.check(host, [name])

    def __repr__(self) -> str:
        return "<Guard off>" if self._allow_private else f"<Guard, {len(self._were_public)} named hosts public>"
