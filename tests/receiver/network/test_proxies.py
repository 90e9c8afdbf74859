"""Which calls go through a proxy, as a table."""

import doctest
from collections.abc import Mapping

import obstore
import pytest
from obstore.store import S3Store

from receiver.errors import SettingsError
from receiver.http import httpx
from receiver.network import proxies
from receiver.network.proxies import find_proxy, parse_direct_hosts, parse_proxy

PROXY = "http://proxy.example:3128"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/batches"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTP_PROXY": PROXY, "http_proxy": PROXY}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"all_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": " ", "all_proxy": f" {PROXY}\n"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://of-others.example"}, PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": f"{PROXY}/"}, PROXY),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example"),
        ({"HTTPS_PROXY": "http://u:p%40ss@[::1]:3128"}, "http://u:p%40ss@[::1]:3128"),
    ],
)
def test_variables_name_the_proxy(environ: Mapping[str, str], expected: str | None) -> None:
    assert find_proxy(GEMINI, environ) == expected


@pytest.mark.parametrize(
    ("named", "host", "is_direct"),
    [
        ("", "localhost", True),
        ("", "127.9.9.9", True),
        ("", "[::1]", True),
        ("", "169.254.169.254", True),
        ("", "metadata.google.internal", True),
        ("", "10.0.0.5", False),
        ("", "notlocalhost", False),
        ("*", "s3.example", True),
        ("*", "10.0.0.5", True),
        ("*", "[2001:db8::1]", True),
        ("example", "s3.example", True),
        (".example", "S3.Example.", True),
        (".example", "example", True),
        ("*.example", "s3.example", True),
        ("Example", "s3.example", True),
        ("ample", "s3.example", False),
        ("s3.example", "example", False),
        ("other.test, s3.example", "s3.example", True),
        ("other.test s3.example", "s3.example", True),
        ("s3.example:9000", "s3.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.5:9000", "10.0.0.5", True),
        ("10.0.0.5", "10.0.0.6", False),
        ("[2001:db8::1]", "[2001:db8::1]", True),
        ("2001:db8::/32", "[2001:db8::9]", True),
    ],
)
def test_hosts_are_called_directly(named: str, host: str, *, is_direct: bool) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": named}
    assert (find_proxy(f"https://{host}/x", environ) is None) == is_direct


WRONG = (
    "http://",
    "://proxy",
    "http://:3128",
    "http://proxy:port",
    "http://proxy:0",
    "http://proxy:99999",
    "http://pro xy",
    "http://proxy\t:1",
    "http://proxy\\@evil",
    "http://proxy/path",
    "http://proxy?q",
    "http://proxy#f",
    "http://prøxy",
    "http://[::1",
    "http://[v1.x]",
    "http://[10.0.0.1]",
    "http://-proxy-",
    "ftp://proxy",
    "file:///etc/passwd",
    "socks5://proxy:1080",
)


@pytest.mark.parametrize("value", WRONG)
def test_malformed_proxy_is_an_error_without_its_value(value: str) -> None:
    secret = value.replace("://", "://tester:canary@", 1)
    for text in (value, secret):
        with pytest.raises(SettingsError, match=r"^all_proxy: ") as told:
            find_proxy(GEMINI, {"all_proxy": text})
        assert "canary" not in str(told.value)


@pytest.mark.parametrize("value", ["http://intern.example", "a,b/c", "10.0.0.0/33", "a;b"])
def test_malformed_exception_is_an_error(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^no_proxy: expected names of hosts"):
        find_proxy(GEMINI, {"no_proxy": value})


@pytest.mark.parametrize(
    "value",
    ["proxy", "http://u%zz:p@proxy", "https://u:p%00@proxy:1", "http://u@proxy", "http://:p@proxy"],
)
def test_every_client_can_read_what_is_accepted(value: str) -> None:
    """What passes the start must not be a traceback in a job."""
    proxy, direct = parse_proxy(value), parse_direct_hosts("*,example,::1,10.0.0.5:1,10.0.0.0/8")
    assert proxy is not None
    httpx.Client(proxy=httpx.Proxy(proxy.url)).close()
    store = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:9",
        client_options={"proxy_url": proxy.url, "proxy_excludes": direct.text, "allow_http": True},
        retry_config={"max_retries": 0},
        skip_signature=True,
        region="x",
    )
    with pytest.raises(obstore.exceptions.GenericError, match="error sending request"):
        obstore.get(store, "key")


def test_password_is_not_shown() -> None:
    assert "canary" not in repr(parse_proxy("http://u:canary@proxy"))


def test_examples_are_right() -> None:
    assert doctest.testmod(proxies).failed == 0
