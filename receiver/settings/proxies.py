"""The settings of a proxy: checked at the start, and read from the environment by each client."""

from dataclasses import dataclass

from receiver.network.proxies import (
    NO_PROXY_VARIABLES,
    PROXY_VARIABLES,
    DirectHosts,
    ProxyAddress,
    parse_direct_hosts,
    parse_proxy,
)
from receiver.settings.environment import setting


@dataclass(frozen=True)
class ProxySettings:
    """Which calls go through a proxy."""

    proxy: ProxyAddress | None = setting(
        PROXY_VARIABLES[0],
        parse_proxy,
        "proxy for calls to Gemini and to buckets, such as `http://proxy.example:3128`;"
        " `https_proxy`, `ALL_PROXY` and `all_proxy` are read when it is unset",
        aliases=PROXY_VARIABLES[1:],
    )
    direct_hosts: DirectHosts = setting(
        NO_PROXY_VARIABLES[0],
        parse_direct_hosts,
        "hosts, domains and networks that are called without the proxy, separated by commas, `*`"
        " for all; `no_proxy` is read when it is unset",
        aliases=NO_PROXY_VARIABLES[1:],
    )
