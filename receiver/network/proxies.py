"""Which calls go through a proxy, by the variables that other programs read, too. Pure.

HTTPS_PROXY, else ALL_PROXY, names the proxy of every call to Gemini and to a bucket, whatever its
scheme. NO_PROXY names hosts that are called directly; so are this machine and the services of a
cloud that give a machine its credentials.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from receiver.errors import SettingsError

PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")
ALWAYS_DIRECT = (
    "localhost",
    "127.0.0.0/8",
    "::1/128",
    "169.254.0.0/16",
    "fe80::/10",
    "fd00:ec2::/32",
    "metadata.google.internal",
)
EVERYTHING = ("*", "0.0.0.0/0", "::/0")  # reqwest's `*` is any name, but no address
PROXY_FORM = "expected http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ if need be"
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")


@dataclass(frozen=True)
class ProxyAddress:
    """The address of a proxy, which may hold a password."""

    url: str = field(repr=False)


@dataclass(frozen=True)
class DirectHosts:
    """Which hosts are called without the proxy: names with all below them, and networks."""

    names: frozenset[str]  # in lower case
    networks: tuple[Network, ...]

    def has(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            labels = host.lower().rstrip(".").split(".")
            endings = {".".join(labels[start:]) for start in range(len(labels))}
            return "*" in self.names or not self.names.isdisjoint(endings)
        return any(address in network for network in self.networks)

    @property
    def text(self) -> str:
        """As NO_PROXY would say it."""
        return ",".join([*sorted(self.names), *map(str, self.networks)])


def parse_proxy(text: str) -> ProxyAddress | None:
    """The proxy that a variable names; None for no text. Raises ValueError, without the value.

    >>> parse_proxy("proxy.example:3128").url
    'http://proxy.example:3128'
    """
    if not text:
        return None
    url = text if "://" in text else f"http://{text}"
    if not url.isascii() or not url.isprintable() or re.search(r"[\s\\]", url):
        raise ValueError(PROXY_FORM)
    if url.lower().startswith("socks"):
        raise ValueError(f"SOCKS is not spoken here: {PROXY_FORM}")
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and parts.port != 0 and _names_host(parts)
    except ValueError as error:
        raise ValueError(PROXY_FORM) from error
    if not is_right or parts.path not in ("", "/") or "?" in url or "#" in url:
        raise ValueError(PROXY_FORM)
    return ProxyAddress(url.rstrip("/"))


def _names_host(parts: SplitResult) -> bool:
    """Whether there is a name or an address. Raises ValueError for an address that is none."""
    if "[" in parts.netloc:
        ipaddress.IPv6Address(parts.hostname or "")
        return True
    return HOST.fullmatch(parts.hostname or "") is not None


def parse_direct_hosts(text: str) -> DirectHosts:
    """The hosts that NO_PROXY names, and those that need no naming. Raises ValueError."""
    names, networks = set[str](), list[Network]()
    words = [word.lower() for word in re.split(r"[\s,]+", text) if word]
    for word in (*ALWAYS_DIRECT, *(EVERYTHING if "*" in words else ()), *words):
        host = re.sub(r"(?<=[^:]):\d+$", "", word)  # a port counts for nothing
        if found := _parse_network(host):
            networks.append(found)
        else:
            names.add(_parse_name(host))
    return DirectHosts(frozenset(names), tuple(dict.fromkeys(networks)))


def _parse_network(word: str) -> Network | None:
    try:
        return ipaddress.ip_network(word.strip("[]"), strict=False)
    except ValueError:
        return None


def _parse_name(word: str) -> str:
    """A host's name, or that of a domain, which may begin with a dot or with `*.`."""
    name = word.removeprefix("*").removeprefix(".")
    if word != "*" and not HOST.fullmatch(name):
        raise ValueError(
            "expected names of hosts and domains, addresses and networks such as 10.0.0.0/8,"
            " separated by commas"
        )
    return name or word


def find_proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """The address of the proxy for calls to `url`; None for a direct call. Raises SettingsError."""
    proxy, direct = read_proxy(environ)
    if proxy is None or direct.has(urlsplit(url).hostname or ""):
        return None
    return proxy.url


def read_proxy(environ: Mapping[str, str]) -> tuple[ProxyAddress | None, DirectHosts]:
    """An environment's proxy, and the hosts that are called without it. Raises SettingsError."""
    proxy = _read(environ, PROXY_VARIABLES, parse_proxy)
    return proxy, _read(environ, NO_PROXY_VARIABLES, parse_direct_hosts)


def _read(environ: Mapping[str, str], names: Sequence[str], parse: Callable[[str], T]) -> T:
    """The value of the first of the variables that is not blank."""
    name = next((name for name in names if environ.get(name, "").strip()), names[0])
    try:
        return parse(environ.get(name, "").strip())
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error
