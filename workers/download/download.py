"""The bytes of a result file: whole and of one version, or an error.

The consumer can't give bytes back, so what was given is proven before more follows. A part (206) follows when its range
fits and it is of the same version: by a strong ETag, else by a short overlap that must be equal. A whole body (200)
follows when it begins with what was given, by sha256. Any doubt about parts leads to a whole body.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from receiver.errors import DownloadError, GeminiError
from receiver.gemini.batches import Gemini
from receiver.gemini.transport import RETRYABLE_STATUS
from receiver.http import httpx
from receiver.retry import jittered
from workers.download.gunzip import gunzip
from workers.download.response_headers import (
    parse_codings,
    parse_span,
    parse_strong_etag,
    read_refusal,
    shows_its_end,
)
from workers.download.stall_timeout import StallWatch

OVERLAP_BYTES = 4096
LOOK_EVERY_S = 0.25
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DownloadPatience:
    """What a download bears before it gives up for now."""

    tries: int = 5  # without `progress_bytes` gained between them
    progress_bytes: int = 64 * 1024
    stall_s: float = (
        30.0  # each `progress_bytes` must arrive within it; a connection that gives less is cut
    )
    pause_s: float = 0.5  # before the second try; doubles
    max_pause_s: float = 30.0  # a longer Retry-After is left to the caller
    total_s: float = 5 * 3600.0  # below the job's own limit of six hours


class _Version(NamedTuple):
    length: int | None  # bytes of the whole file, as given to the consumer
    etag: str | None  # a strong one


class _ChangedError(DownloadError):
    """What was given is no longer the beginning of the file: only a new download can be right."""


class Download:
    """One result file of Gemini (`files/…`). Iterate `chunks` once.

    `check` is called before each connection and four times a second in pauses; what it raises ends the download.
    """

    def __init__(
        self,
        gemini: Gemini,
        name: str,
        check: Callable[[], None] = lambda: None,
        patience: DownloadPatience = DownloadPatience(),
    ) -> None:
        self.offset = 0  # bytes given so far
        self.end_proven = (
            False  # False at the end: two bodies ended here, but neither said its length
        )
        self._gemini, self._name, self._check, self._patience = gemini, name, check, patience
        self._digest = hashlib.sha256()
        self._tail = b""  # the last bytes given: at least OVERLAP_BYTES once there are as many
        self._version = _Version(None, None)  # of what was given
        self._trusts_parts = True
        self._ended_at: int | None = None  # where a body ended that did not say its length

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes given so far."""
        return self._digest.hexdigest()

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None while no answer has said it."""
        return self._version.length

    def chunks(self) -> Iterator[bytes]:
        """The file from its first byte to its last, in the pieces in which it arrives.

        Raises GeminiError: `retryable` says whether a new download can succeed, `retry_after_s` when; and whatever
        `check` raises.
        """
        tries, gained_from = 0, 0
        deadline = time.monotonic() + self._patience.total_s
        while True:
            self._check()
            try:
                yield from self._attempt(deadline)
            except GeminiError as error:
                if self.offset == self._version.length:
                    break
                if self.offset - gained_from >= self._patience.progress_bytes:
                    tries, gained_from = 0, self.offset
                tries += 1
                self._pause(error, tries, deadline)
            else:
                break
        self.end_proven = self.end_proven or self._version.length is not None

    def _pause(self, error: GeminiError, tries: int, deadline: float) -> None:
        """Wait before the next try, or raise the error when there should be none."""
        is_passing = error.status is None or error.status in RETRYABLE_STATUS
        if (
            not error.retryable
            or not is_passing
            or isinstance(error, _ChangedError)
            or tries >= self._patience.tries
        ):
            raise error
        pause_s = min(
            jittered(self._patience.pause_s * 2 ** (tries - 1)), self._patience.max_pause_s
        )
        pause_s = max(pause_s, error.retry_after_s or 0)
        until = time.monotonic() + pause_s
        if pause_s > self._patience.max_pause_s or until > deadline:
            raise error
        log.info(
            "download.broke", extra={"file": self._name, "offset": self.offset, "cause": str(error)}
        )
        while (left_s := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left_s, LOOK_EVERY_S))

    def _broken(self, cause: str) -> DownloadError:
        return DownloadError(
            f"the download of {self._name} broke at byte {self.offset}: {cause}", retryable=True
        )

    def _changed(self) -> DownloadError:
        advice = "it must be read anew from its first byte"
        return _ChangedError(
            f"{self._name} changed while it was read, before byte {self.offset}: {advice}",
            retryable=True,
        )

    def _doubt_parts(self, cause: str) -> DownloadError:
        self._trusts_parts = False
        return self._broken(cause)

    def _attempt(self, deadline: float) -> Iterator[bytes]:
        """One connection: from where we are to the end, or an error."""
        start = self._part_start()
        headers = {"range": f"bytes={start}-"} if start else {}
        if start and self._version.etag:
            headers["if-range"] = self._version.etag
        with StallWatch(self._patience.stall_s, self._patience.progress_bytes, deadline) as watch:
            try:
                with self._gemini.stream_file(self._name, headers, watch.follow) as response:
                    yield from self._give(
                        self._body(response, watch.timed(response.iter_raw()), start), deadline
                    )
                    self._verify_end(shows_its_end=shows_its_end(response), cut=watch.cause)
            except GeminiError as error:
                if watch.cause and error.retryable and not isinstance(error, _ChangedError):
                    raise self._broken(watch.cause) from error
                raise

    def _part_start(self) -> int:
        """First byte to ask for; 0 asks for the whole, since there is nothing yet or no part to be trusted."""
        if not self._trusts_parts:
            return 0
        is_provable = self._version.etag is not None and self._version.length is not None
        return self.offset if is_provable else self.offset - min(len(self._tail), OVERLAP_BYTES)

    def _give(self, fresh: Iterator[bytes], deadline: float) -> Iterator[bytes]:
        try:
            for chunk in fresh:
                self._digest.update(chunk)
                self._tail = (
                    chunk if len(chunk) >= OVERLAP_BYTES else (self._tail + chunk)[-OVERLAP_BYTES:]
                )
                self.offset += len(chunk)
                yield chunk
                if time.monotonic() > deadline:
                    raise self._broken("the time for the whole of it is over")
        except httpx.TransportError as error:
            raise self._broken(repr(error)) from error

    def _body(self, response: httpx.Response, raw: Iterator[bytes], start: int) -> Iterator[bytes]:
        """What the answer adds to what was given. Raises GeminiError where that is nothing."""
        if response.status_code == httpx.codes.OK:
            return self._whole(response, raw)
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            return self._part(response, raw, start)
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise self._doubt_parts("Gemini says that the file has no byte there")
        raise read_refusal(response, raw, self._name)

    def _whole(self, response: httpx.Response, raw: Iterator[bytes]) -> Iterator[bytes]:
        codings = parse_codings(response)
        if not codings:
            length = response.headers.get("content-length")
            version = _Version(int(length) if length else None, parse_strong_etag(response))
            return self._unseen(raw, self.offset, version)
        if codings in (["gzip"], ["x-gzip"]):
            self._trusts_parts = False  # ranges and lengths would count packed bytes
            return self._unseen(gunzip(raw, self._name), self.offset, _Version(None, None))
        words = (
            f"{self._name} arrived encoded as {', '.join(codings)[:80]}, which was not asked for"
        )
        raise DownloadError(words, fault="outside")

    def _part(self, response: httpx.Response, raw: Iterator[bytes], start: int) -> Iterator[bytes]:
        span = parse_span(response)
        if span is None or span.start != start or not start or parse_codings(response):
            raise self._doubt_parts("Gemini sent another part than was asked for")
        version = self._version._replace(
            length=self._version.length if span.total is None else span.total
        )
        has_length = self._version.length in (None, version.length)
        if not has_length or version.etag not in (None, parse_strong_etag(response)):
            raise self._doubt_parts("Gemini sent a part of another version")
        return self._unseen(self._at_most(raw, span.end - start), self.offset - start, version)

    def _at_most(self, chunks: Iterable[bytes], left: int) -> Iterator[bytes]:
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise self._doubt_parts("Gemini sent more than the part that it announced")
            yield chunk

    def _unseen(self, chunks: Iterable[bytes], seen: int, version: _Version) -> Iterator[bytes]:
        """What follows the first `seen` bytes, once those are proven to be the last `seen` bytes given.

        The answer's version counts from that proof on: before it, length and ETag may be those of another file.
        """
        is_whole, proof = seen == self.offset, hashlib.sha256()
        expected = (
            self._digest if is_whole else hashlib.sha256(self._tail[len(self._tail) - seen :])
        )
        if not seen:
            self._version = version
        for chunk in chunks:
            if not seen:
                yield chunk
                continue
            proof.update(chunk[:seen])
            fresh, seen = chunk[seen:], max(0, seen - len(chunk))
            if seen:
                continue
            if proof.digest() != expected.digest():
                raise (
                    self._changed()
                    if is_whole
                    else self._doubt_parts("Gemini sent a part of another version")
                )
            self._version = version
            if fresh:
                yield fresh
        if seen:
            raise self._broken("this time it ended within what was given before")

    def _verify_end(self, *, shows_its_end: bool, cut: str | None) -> None:
        """A body without a length looks the same whole and cut: its end counts once a second body ends there too."""
        if self._version.length is not None:
            if self.offset != self._version.length:
                raise self._broken(
                    f"it ended there, though {self._version.length} bytes were announced"
                )
        elif shows_its_end:
            self.end_proven = True
        elif cut:
            raise self._broken(cut)
        elif self._ended_at != self.offset:
            self._ended_at = self.offset
            raise self._broken("it ended without having said its length")
