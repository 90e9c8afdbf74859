"""Gemini's public keys, fetched once and cached, to verify deliveries while the endpoint is down.

One URL, one request at a time, at most one per minute; no redirect is followed, and no header of
the client is sent.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable

from receiver.errors import KeySetUnavailableError
from receiver.http import httpx
from receiver.verification.keys import MAX_KEY_SET_BYTES, KeySet, parse_key_set

FETCH_TIMEOUT_S = 5.0  # for the whole answer, since httpx limits each read only
# Between two fetches, also after a failed one: a sender of unknown keys causes no more requests.
COOLDOWN_S = 60.0
DEFAULT_MAX_AGE_S = 3600.0
MAX_MAX_AGE_S = 24 * 3600.0
STALE_S = 24 * 3600.0  # how long expired keys are used while the endpoint gives no better ones

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?([0-9]{1,10})", re.IGNORECASE)

log = logging.getLogger(__name__)


class KeySetCache:
    """The key set of one URL. Any number of tasks of one event loop may share it."""

    def __init__(
        self,
        url: str,
        *,
        client: httpx.AsyncClient,
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = FETCH_TIMEOUT_S,
    ) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        self._timeout_s = timeout_s
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._max_age_s = 0.0
        self._attempted_at: float | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._is_failing = False

    async def get(self) -> KeySet:
        """The cached keys, fetched when there are none or they have expired.

        Raises KeySetUnavailableError when there are none and none can be fetched.
        """
        if self._keys is None or self._age_s() >= self._max_age_s:
            await self._update()
        return self._usable_keys()

    async def refresh(self) -> KeySet:
        """The keys after a delivery named an unknown one: fetched again, at most once per minute.

        Raises KeySetUnavailableError when there are none and none can be fetched.
        """
        await self._update()
        return self._usable_keys()

    def _age_s(self) -> float:
        return self._clock() - self._fetched_at

    def _usable_keys(self) -> KeySet:
        if self._keys is None or self._age_s() > self._max_age_s + STALE_S:
            raise KeySetUnavailableError(
                "Gemini's key set can't be fetched and no usable one is cached: check that"
                " GEMINI_JWKS_URL answers"
            )
        return self._keys

    async def _update(self) -> None:
        """Join the running fetch, or start one unless the last is less than a minute ago."""
        if self._fetch is None or self._fetch.done():
            now = self._clock()
            if self._attempted_at is not None and now - self._attempted_at < COOLDOWN_S:
                return
            self._attempted_at = now
            self._fetch = asyncio.create_task(self._fetch_and_keep())
        # Shielded: a caller that is cancelled must not cancel the fetch of the others.
        await asyncio.shield(self._fetch)

    async def _fetch_and_keep(self) -> None:
        """Replace the keys by a complete, usable answer; on anything else keep them and log why."""
        try:
            keys, max_age_s = await self._fetch_keys()
        except TimeoutError:
            self._log_failure(f"no whole answer within {self._timeout_s:g} s")
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            OSError,
            RuntimeError,
            ValueError,
        ) as error:
            self._log_failure(f"{type(error).__name__}: {error}")
        else:
            self._keys, self._max_age_s, self._fetched_at = keys, max_age_s, self._clock()
            if self._is_failing:
                log.info("keyset.fetched")
            self._is_failing = False

    def _log_failure(self, cause: str) -> None:
        """Warn once per outage; its further failures are debug lines."""
        level = logging.DEBUG if self._is_failing else logging.WARNING
        log.log(level, "keyset.failed", extra={"cause": cause, "kept": self._keys is not None})
        self._is_failing = True

    async def _fetch_keys(self) -> tuple[KeySet, float]:
        # Built by hand: the client's own headers may hold the API key, meant for another origin.
        request = httpx.Request(
            "GET",
            self._url,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )
        async with asyncio.timeout(self._timeout_s):
            response = await self._client.send(
                request, stream=True, follow_redirects=False, auth=None
            )
            try:
                document = await _read(response)
            finally:
                await response.aclose()
        keys = parse_key_set(document)
        if not keys.ed25519 and not keys.rsa:
            raise ValueError("the document holds no key that can verify deliveries")
        return keys, _max_age_s(response.headers.get("cache-control", ""))


async def _read(response: httpx.Response) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise ValueError(f"the answer has status {response.status_code}")
    document = bytearray()
    async for chunk in response.aiter_raw():
        document += chunk
        if len(document) > MAX_KEY_SET_BYTES:
            raise ValueError(f"the answer is longer than {MAX_KEY_SET_BYTES} bytes")
    return bytes(document)


def _max_age_s(cache_control: str) -> float:
    """How long to use the keys; COOLDOWN_S is the lower bound."""
    found = _MAX_AGE.search(cache_control)
    return min(float(found[1]), MAX_MAX_AGE_S) if found else DEFAULT_MAX_AGE_S
