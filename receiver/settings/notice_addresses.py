"""Where notices may go: to public addresses over https, to private ones if allowed. Pure."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
# Metadata services of some clouds; `is_global` of older Pythons covers only a part.
PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")
# All that IANA assigns; `is_global` only excludes special ranges.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def parse_address(text: str) -> Address | None:
    """A numeric address, or None for a name."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether it is public; of an IPv6 address that embeds an IPv4 one, whether that is.

    >>> [is_public(ipaddress.ip_address(text)) for text in ("1.1.1.1", "10.0.0.1")]
    [True, False]
    >>> is_public(ipaddress.ip_address("::ffff:127.0.0.1"))
    False
    """
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return is_public(embedded)
        return address.is_global and address in GLOBAL_UNICAST
    return address.is_global and not address.is_multicast and address not in PROTOCOLS


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def find_refusal(address: Address, *, is_https: bool, private: bool) -> str | None:
    """Why an address gets no notices, in words; None where it may. `private`: NOTIFY_PRIVATE."""
    if is_public(address) and not is_https:
        return "expected https: a notice must not travel in clear over the internet"
    if is_public(address) or private:
        return None
    return (
        "the address is not public: set NOTIFY_PRIVATE=true if notices may go into your own network"
    )
