"""URLs in settings and options: Gemini's, and our own as Gemini reaches it. Pure."""

from urllib.parse import SplitResult, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_api_url(text: str) -> str:
    """Where the API is, without a slash at its end. Raises ValueError."""
    parts = split_url(text)
    if parts is None or parts.username or parts.query or parts.fragment:
        raise ValueError("expected an address such as https://generativelanguage.googleapis.com")
    if not is_private_on_its_way(text):
        raise ValueError(
            "expected https: the API key must not travel in clear (http is for loopback only)"
        )
    return text.rstrip("/")


def parse_jwks_url(text: str) -> str:
    """Where the key set is; empty for no text. Raises ValueError."""
    return parse_api_url(text) if text else ""


def complete_jwks_url(url: str, base_url: str) -> str:
    """The key set's own URL, or where the API at `base_url` has it."""
    return url or f"{base_url}/.well-known/jwks.json"


def parse_web_url(text: str) -> str:
    """A URL that deliveries could be sent to, with or without a path. Raises ValueError."""
    parts = split_url(text)
    if parts is None or "?" in text or "#" in text or "@" in parts.netloc:
        raise ValueError(
            "expected https://HOST or https://HOST/PATH, without a user, a query or a fragment"
        )
    if not is_private_on_its_way(text):
        raise ValueError(
            "expected https: deliveries must not travel in clear (http is for loopback only)"
        )
    return text if parts.path.strip("/") else text.rstrip("/")


def parse_origin(text: str) -> str | None:
    """The origin of the web process, without a path; None for no text. Raises ValueError."""
    if not text:
        return None
    url = parse_web_url(text)
    if urlsplit(url).path:
        raise ValueError("expected https://HOST without a path: the path of each project is added")
    return url


def complete_url(url: str, path: str) -> str:
    """The URL of a webhook endpoint: an origin gets the path, a URL with a path stays as it is.

    >>> complete_url("https://a.example", "/webhooks/gemini")
    'https://a.example/webhooks/gemini'
    >>> complete_url("https://a.example/other/path", "/webhooks/gemini")
    'https://a.example/other/path'
    """
    return url if urlsplit(url).path else url + path


def is_private_on_its_way(url: str) -> bool:
    """Whether what is sent there can't be read on the way: over https, or on this machine."""
    parts = split_url(url)
    return parts is not None and (parts.scheme == "https" or parts.hostname in LOOPBACK)


def is_same_url(one: str, other: str) -> bool:
    """Whether both are the same endpoint, whatever the case of the host; default ports count."""
    return origin_of(one) == origin_of(other) is not None and path_of(one) == path_of(other)


def origin_of(url: str) -> str | None:
    """Scheme, host and port, without a default port; None where the text is no such URL."""
    parts = split_url(url)
    if parts is None or parts.hostname is None:
        return None
    host = format_host(parts.hostname)
    is_usual = parts.port in (None, DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" if is_usual else f"{parts.scheme}://{host}:{parts.port}"


def format_host(host: str) -> str:
    """A host as a URL has it: an IPv6 address in brackets.

    >>> format_host("localhost"), format_host("::1")
    ('localhost', '[::1]')
    """
    return f"[{host}]" if ":" in host else host


def path_of(url: str) -> str:
    """The path and whatever follows it; empty for an origin, and for text that is no such URL."""
    parts = split_url(url)
    return "" if parts is None else parts._replace(scheme="", netloc="").geturl()


def split_url(url: str) -> SplitResult | None:
    """The parts of an http or https URL in printable ASCII; None for other text."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None  # urlsplit would drop such characters, or another parser take one for a slash
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in DEFAULT_PORTS and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if is_right else None
