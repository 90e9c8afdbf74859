"""Where notices may go: to the public internet over https; to a private network only where that is allowed. Pure."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
PROTOCOLS = ipaddress.IPv4Network(
    "192.0.0.0/24"
)  # some clouds' metadata; older Pythons know a part of it alone
GLOBAL_UNICAST = ipaddress.IPv6Network(
    "2000::/3"
)  # all that IANA gives out; `is_global` knows exceptions alone


def parse_address(text: str) -> Address | None:
    """An address as digits, or None for a name."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether everybody's internet has it; of an address that carries an IPv4 one, whether that is public.

    >>> [is_public(ipaddress.ip_address(text)) for text in ("1.1.1.1", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = _carried(address)
        return (
            address.is_global and address in GLOBAL_UNICAST
            if carried is None
            else is_public(carried)
        )
    return address.is_global and not address.is_multicast and address not in PROTOCOLS


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def find_refusal(address: Address, *, is_https: bool, private: bool) -> str | None:
    """In words why nothing is sent to an address; None where it is. `private` is NOTIFY_PRIVATE."""
    if is_public(address):
        return (
            None
            if is_https
            else "expected https: a notice must not travel in clear over the internet"
        )
    if private:
        return None
    return (
        "the address is not public: set NOTIFY_PRIVATE=true if notices may go into your own network"
    )
