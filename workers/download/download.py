"""The bytes of a result file: whole and of one version, or an error.

What can go wrong, and what happens then:

* The connection breaks: the next request asks for the rest, until `tries` in a row gain little.
* The connection stalls or drips: `StallWatch` cuts it, and it counts as broken.
* The file changes between two requests: its parts are refused, and the whole file is asked for.
  If that does not begin with what the consumer has, only a new download can be right: an error.
* The server sends the whole file instead of a part: what the consumer has is skipped, once its
  sha256 is the same.
* The server sends another part, or more than it announced, or says that there is none (416): the
  whole file is asked for.
* A body says neither its length nor its end: it counts as whole once a second one ends at the same
  byte; `end_proven` is False then.
* The body is packed by gzip though nobody asked for that: it is unpacked, up to a bounded size.
  Packed in any other way, it is refused.
* Gemini refuses: its error, in its words. A passing one is tried again; a Retry-After of more than
  `max_pause_s` is left to the caller.
* It takes longer than `total_s`: an error.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from receiver.errors import DownloadError, GeminiError
from receiver.gemini.batches import Gemini, read_body
from receiver.gemini.operations import Batch
from receiver.gemini.refusals import RETRYABLE_STATUS, read_file_error
from receiver.gemini.transport import MAX_REFUSAL_BYTES
from receiver.http import httpx
from receiver.retry import jittered
from workers.download.gunzip import gunzip
from workers.download.resume_policy import (
    Body,
    ChangedError,
    EarlyEnd,
    PartDoubt,
    PartDoubtError,
    Received,
    ShortBodyError,
    UnknownCoding,
    judge_answer,
    judge_end,
    plan_request,
    shows_its_end,
    take_fresh,
)
from workers.download.stall_timeout import StallWatch

CHECK_EVERY_S = 0.25
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DownloadPatience:
    """What a download bears before it gives up for now."""

    tries: int = 5  # without `progress_bytes` gained between them
    progress_bytes: int = 64 * 1024
    stall_s: float = 30.0  # for each `progress_bytes`, else the connection is cut
    pause_s: float = 0.5  # before the second try; doubles
    max_pause_s: float = 30.0  # a longer Retry-After is left to the caller
    total_s: float = 5 * 3600.0  # below the job's own limit of six hours


class FileChangedError(DownloadError):
    """What was given is no longer the beginning of the file: only a new download can be right."""


class ResultSource(Protocol):
    """Results as bytes, one JSON object per line."""

    end_proven: bool  # False after the last chunk: nothing says that this was really the end

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes given so far."""

    @property
    def total_bytes(self) -> int | None:
        """Size of the whole; None while nobody has said it."""

    def chunks(self) -> Iterator[bytes]:
        """The source from its first byte to its last, in blocks of any size; once.

        Any one thread may iterate, and ask for the sha256.
        """


def open_source(gemini: Gemini, batch: Batch, check: Callable[[], None]) -> ResultSource:
    """The results of a batch that has output. `check` may end a download that waits."""
    if batch.result_file:
        return Download(gemini, batch.result_file, check)
    return InlinedResponses(batch.inlined or ())


class InlinedResponses:
    """Results that came inside Gemini's answer: one compact line each."""

    end_proven = True

    def __init__(self, rows: tuple[bytes, ...]) -> None:
        self._rows = rows
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def total_bytes(self) -> int:
        return sum(len(row) + 1 for row in self._rows)

    def chunks(self) -> Iterator[bytes]:
        for row in self._rows:
            line = row + b"\n"
            self._digest.update(line)
            yield line


class Download:
    """One result file of Gemini (`files/…`). Iterate `chunks` once.

    `check` is called before each connection and four times a second in pauses; what it raises ends
    the download.
    """

    def __init__(
        self,
        gemini: Gemini,
        name: str,
        check: Callable[[], None] = lambda: None,
        patience: DownloadPatience = DownloadPatience(),
    ) -> None:
        self.end_proven = False
        self._gemini, self._name, self._check, self._patience = gemini, name, check, patience
        self._received = Received()

    @property
    def offset(self) -> int:
        """Bytes given so far."""
        return self._received.offset

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes given so far."""
        return self._received.digest.hexdigest()

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None while no answer has said it."""
        return self._received.version.length

    def chunks(self) -> Iterator[bytes]:
        """The file from its first byte to its last, in blocks of at most 64 KiB, as they arrive.

        Raises GeminiError: `retryable` says whether a new download can succeed, `retry_after_s`
        when; and whatever `check` raises.
        """
        tries, gained_from = 0, 0
        deadline = time.monotonic() + self._patience.total_s
        while True:
            self._check()
            try:
                yield from self._attempt(deadline)
            except GeminiError as error:
                if self.offset == self.total_bytes:
                    self.end_proven = True
                    return
                if self.offset - gained_from >= self._patience.progress_bytes:
                    tries, gained_from = 0, self.offset
                tries += 1
                self._pause(error, tries, deadline)
            else:
                return

    def _pause(self, error: GeminiError, tries: int, deadline: float) -> None:
        """Wait before the next try, or raise the error when there should be none."""
        patience = self._patience
        is_passing = error.status is None or error.status in RETRYABLE_STATUS
        is_final = not (error.retryable and is_passing) or isinstance(error, FileChangedError)
        if is_final or tries >= patience.tries:
            raise error

        pause_s = min(jittered(patience.pause_s * 2 ** (tries - 1)), patience.max_pause_s)
        pause_s = max(pause_s, error.retry_after_s or 0)
        until = time.monotonic() + pause_s
        if pause_s > patience.max_pause_s or until > deadline:
            raise error

        about = {"file": self._name, "offset": self.offset, "cause": str(error)}
        log.info("download.broke", extra=about)
        while (left_s := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left_s, CHECK_EVERY_S))

    def _attempt(self, deadline: float) -> Iterator[bytes]:
        """One connection: from where we are to the end, or an error."""
        request = plan_request(self._received)
        with StallWatch(self._patience.stall_s, self._patience.progress_bytes, deadline) as watch:
            try:
                with self._gemini.stream_file(
                    self._name, request.headers, watch.follow
                ) as response:
                    chunks = watch.timed(read_body(response))
                    yield from self._give(self._read(response, chunks, request.start), deadline)
                    shows_end = shows_its_end(response.status_code, response.headers)
                    self._end(shows_end=shows_end, cut=watch.cause)
            except GeminiError as error:
                if watch.cause and error.retryable and not isinstance(error, FileChangedError):
                    raise self._broken(watch.cause) from error
                raise

    def _give(self, fresh: Iterator[bytes], deadline: float) -> Iterator[bytes]:
        """What the consumer does not have yet, noted as received."""
        try:
            for chunk in fresh:
                self._received.add(chunk)
                yield chunk
                if time.monotonic() > deadline:
                    raise self._broken("the time for the whole of it is over")
        except PartDoubtError as error:
            raise self._doubt_parts(str(error)) from error
        except ChangedError as error:
            raise self._changed() from error
        except ShortBodyError as error:
            raise self._broken("this time it ended within what was given before") from error
        except httpx.TransportError as error:
            raise self._broken(repr(error)) from error

    def _read(self, response: httpx.Response, raw: Iterator[bytes], start: int) -> Iterator[bytes]:
        """What the answer adds to what was given. Raises GeminiError where that is nothing."""
        match judge_answer(self._received, start, response.status_code, response.headers):
            case Body() as body:
                if body.is_packed:
                    self._received.trusts_parts = False  # ranges and lengths count packed bytes
                    raw = gunzip(raw, self._name)
                return take_fresh(self._received, body, raw)
            case PartDoubt(cause):
                raise self._doubt_parts(cause)
            case UnknownCoding(codings):
                words = f"arrived encoded as {codings[:80]}, which was not asked for"
                raise DownloadError(f"{self._name} {words}", fault="outside")
        raise _read_refusal(response, raw, self._name)

    def _end(self, *, shows_end: bool, cut: str | None) -> None:
        """The body ended; raises DownloadError unless the file is complete."""
        end = judge_end(self._received, shows_end=shows_end, cut=cut)
        if isinstance(end, EarlyEnd):
            if end.ended_at is not None:
                self._received.ended_at = end.ended_at
            raise self._broken(end.cause)
        self.end_proven = end.is_proven

    def _doubt_parts(self, cause: str) -> DownloadError:
        self._received.trusts_parts = False
        return self._broken(cause)

    def _broken(self, cause: str) -> DownloadError:
        words = f"the download of {self._name} broke at byte {self.offset}: {cause}"
        return DownloadError(words, retryable=True)

    def _changed(self) -> DownloadError:
        words = f"{self._name} changed while it was read, before byte {self.offset}"
        advice = "it must be read anew from its first byte"
        return FileChangedError(f"{words}: {advice}", retryable=True)


def _read_refusal(response: httpx.Response, raw: Iterable[bytes], name: str) -> GeminiError:
    """The error that an answer without the file means; the body, which may be endless, is cut."""
    body = b""
    with suppress(httpx.TransportError):
        for chunk in raw:
            body += chunk
            if len(body) > MAX_REFUSAL_BYTES:
                break
    headers = {name: value for name, value in response.headers.items() if name == "retry-after"}
    answer = httpx.Response(
        response.status_code, headers=headers, content=body, request=response.request
    )
    return read_file_error(answer, name)
