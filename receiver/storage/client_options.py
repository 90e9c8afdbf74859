"""How obstore's clients call a bucket: through which proxy, and what the environment says else.

Left alone, they also send a proxy what is for this machine, and pass over a malformed address. Once
they are told anything, they read none of it from the environment.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from receiver.network.proxies import EVERYTHING, read_proxy
from receiver.storage.errors import Platform

if TYPE_CHECKING:
    from obstore.store import ClientConfig

NOWHERE = "http://127.0.0.1:9"  # a proxy that is never asked
# Those that an environment may set, after the platform's prefix, such as AWS_ALLOW_HTTP.
OPTIONS = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "http1_only",
    "http2_keep_alive_interval",
    "http2_keep_alive_timeout",
    "http2_keep_alive_while_idle",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_ca_certificate",
    "timeout",
    "user_agent",
)


def client_options(platform: Platform, environ: Mapping[str, str]) -> "ClientConfig":
    """The options that an environment gives. Raises SettingsError for a malformed proxy."""
    named = {option: f"{platform.prefix}{option.upper()}" for option in OPTIONS}
    given = {option: environ[name] for option, name in named.items() if name in environ}
    usual = {"allow_http": "true"} if platform.is_http_allowed else {}
    proxy, direct = read_proxy(environ)
    way = {
        "proxy_url": proxy.url if proxy else NOWHERE,
        "proxy_excludes": direct.text if proxy else ",".join(EVERYTHING),
    }
    return cast("ClientConfig", usual | given | way)
