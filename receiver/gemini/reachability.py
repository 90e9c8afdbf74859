"""Probes whether a webhook endpoint of ours answers at the URL that Gemini sends to.

No key and no signature is sent. The body is not JSON, so our endpoint answers 415 before it judges,
counts or logs anything. There is no header that marks a probe, since that could hide forgeries.
"""

from receiver.http import httpx, proxy_for, trusted_certificates
from receiver.settings.web_urls import is_private_on_its_way, origin_of

TIMEOUT = httpx.Timeout(10)
PROBE, PROBE_TYPE = b"a probe of gemini-batch-receiver", "text/plain"
# What our endpoint answers; the second one where a proxy rewrites the content type.
EXPECTED = (httpx.codes.UNSUPPORTED_MEDIA_TYPE, httpx.codes.UNAUTHORIZED)


def find_obstacle(url: str, path: str) -> str | None:
    """In words why deliveries to `url` would not arrive; None where they would. `path` is that of
    the webhook endpoint.
    """
    if not is_private_on_its_way(url):
        return "the address is not https: nothing was sent there"
    health = f"{url.removesuffix(path) if url.endswith(path) else origin_of(url)}/health"
    with httpx.Client(
        verify=trusted_certificates(),
        timeout=TIMEOUT,
        proxy=proxy_for(url),
        trust_env=False,
        follow_redirects=False,
    ) as client:
        try:
            alive = _status_of(client, "GET", health)
            answered = _status_of(client, "POST", url)
        except httpx.HTTPError as error:
            return f"no answer: {error!r}"[:300]
    return _judge(answered) or (
        None if alive == httpx.codes.OK else f"GET {health} gives {alive} instead of 200"
    )


def _status_of(client: httpx.Client, method: str, url: str) -> int:
    """The status. The body is not read, whatever its size."""
    content = PROBE if method == "POST" else None
    headers = {"content-type": PROBE_TYPE} if content else {}
    with client.stream(method, url, content=content, headers=headers) as answer:
        return answer.status_code


def _judge(status: int) -> str | None:
    """What is wrong, by the answer to the POST; None if nothing is."""
    if status in EXPECTED:
        return None
    said = f"an unsigned POST gives {status} instead of 401 or 415"
    if status == httpx.codes.NOT_FOUND:
        advice = "look at the path, or restart it"
        return f"{said}: the web process that runs there has no such endpoint; {advice}"
    if httpx.codes.is_success(status):
        return f"{said}: what answers there accepts anything, so it is not this receiver"
    if httpx.codes.is_redirect(status):
        return f"{said}: it redirects, and a delivery must not have to follow"
    return said
