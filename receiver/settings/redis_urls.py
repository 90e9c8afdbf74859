"""Addresses of a Redis, checked before anything connects, with the TLS options of a connection.

All clients, RQ's included, are made from one URL, so what the URL says holds for every connection.
"""

import ssl
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis

CA_FILE, CHECKING = "ssl_ca_certs", "ssl_cert_reqs"  # redis-py's names of the options


def parse_redis_url(text: str) -> str:
    """The URL as it is. Raises ValueError with what was expected, without the URL: it may hold a
    password.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path):
        raise ValueError("expected redis://host:port/0, rediss://… or unix:///path")
    try:
        redis.ConnectionPool.from_url(text).make_connection()  # connects to nothing yet
    except (TypeError, ValueError, redis.RedisError) as error:
        hint = "for a certificate that can't be checked: rediss://…?ssl_cert_reqs=none"
        raise ValueError(f"an option after the ? is unknown or wrong; {hint}") from error
    return text


def with_tls(
    url: str,
    ca_file: str | None,
    verify: bool,  # noqa: FBT001 - the value of a field
) -> str:
    """The URL with a private CA's file, or with the option to leave the certificate unchecked.

    Raises ValueError where one of these is asked of a URL without TLS.
    """
    if ca_file is None and verify:
        return url
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        raise ValueError(
            "only a rediss:// address has a certificate: set REDIS_URL to one, or unset"
            " REDIS_CA_FILE and REDIS_TLS_VERIFY"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if ca_file is not None:
        options[CA_FILE] = ca_file
    if not verify:
        options[CHECKING] = "none"
    return urlunsplit(parts._replace(query=urlencode(options)))


def parse_ca_file(text: str) -> str | None:
    """The path of a PEM file with certificates; None for no text.

    Raises ValueError when it can't be used.
    """
    if not text:
        return None
    try:
        ssl.create_default_context(cafile=text)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(
            "can't be read as a PEM file of certificates"
            f" ({error.strerror or error.__class__.__name__}): name the file of your CA"
        ) from error
    return text


def is_checked(url: str) -> bool:
    """Whether a connection checks the certificate of the server."""
    return dict(parse_qsl(urlsplit(url).query)).get(CHECKING) != "none"
