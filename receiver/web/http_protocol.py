"""uvicorn's httptools protocol with the limits that it lacks, against hostile clients.

uvicorn waits for ever for a client that stops halfway, and accepts a header of any size. httptools
refuses most requests whose end is ambiguous (RFC 9112, section 6.3), but accepts versions and
transfer codings that we don't support, and a trailer passes for a header.
"""

import asyncio
import logging
from enum import Enum, auto

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from receiver.api.uploads import ALLOW, EXTENSION
from receiver.web.http_limits import HttpLimits
from receiver.web.http_refusals import RefusedError, refusal, unwrap

TOO_LARGE = "the request's head is too large"
TOO_LARGE_FRAMING = "what stands around the body's data is too large"
UPLOAD_FRAMING_SHARE = 16  # of an upload, so much of its size may stand around its data
SLICE_BYTES = 2048  # parsed at once: small, so that unparsed bytes are counted closely
log = logging.getLogger(__name__)


class Phase(Enum):
    """The state of a connection."""

    OPENED = auto()  # no byte has arrived yet
    HEAD = auto()
    BODY = auto()  # the answer may be sent already, and the rest of the body is dropped
    ANSWER = auto()  # the request is complete
    IDLE = auto()  # answered
    CLOSING = auto()  # nothing is read any more


class Bodies:
    """Bytes of bodies in memory, of all connections of the process together."""

    held_bytes = 0


class LimitedProtocol(HttpToolsProtocol):
    """One connection, one request at a time. Each phase has a deadline, each buffer a limit.

    An endpoint that knows its sender may allow a request an upload: a large body, which it reads as
    it comes, and an answer that takes long.
    """

    limits = HttpLimits()
    bodies = Bodies()
    _body_bytes = 0
    _phase = Phase.OPENED
    _deadline = 0.0  # of the phase, by the loop's clock
    _idle_until = 0.0
    # Bytes that the parser has buffered: the rest of a head, chunk extensions, trailers.
    _held_bytes = 0
    _fed_bytes = 0  # the same, with what the parser is reading
    _framing_bytes = 0  # of this request: everything but the data of its body
    _upload_until: float | None = None  # by the loop's clock; None where no upload is allowed
    _is_moving = False
    _ticker: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.time() + self.limits.request_s
        self._ticker = self.loop.call_later(self.limits.tick_s, self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ticker.cancel()
        self._forget_body()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The sender may end its half and still wait for the answer."""
        if self._phase is not Phase.ANSWER:
            return None  # lets the transport close
        self.cycle.keep_alive = False
        return True

    def shutdown(self) -> None:
        stop_at = self.loop.time() + self.limits.stop_s
        self._deadline = min(self._deadline, stop_at)
        if self._upload_until is not None:
            self._upload_until = min(self._upload_until, stop_at)
        super().shutdown()

    def _enter(self, phase: Phase, limit_s: float) -> None:
        self._phase = phase
        self._deadline = self.loop.time() + limit_s

    def _tick(self) -> None:
        self._ticker = self.loop.call_later(self.limits.tick_s, self._tick)
        if self.loop.time() >= self._deadline:
            self._expire()

    def _enter_idle(self) -> None:
        self._enter(Phase.IDLE, self.limits.crowded_idle_s)
        self._idle_until = self.loop.time() + self.limits.idle_s

    def _expire(self) -> None:
        if self.transport.is_closing() or self._phase in (Phase.ANSWER, Phase.CLOSING):
            self.transport.abort()  # the client reads no more
        elif self._phase in (Phase.HEAD, Phase.BODY):
            self._refuse("the request took too long", 408)
        elif (
            self._phase is Phase.IDLE
            and len(self.connections) <= self.limits.crowd
            and self.loop.time() < self._idle_until
        ):
            self._enter(Phase.IDLE, self.limits.crowded_idle_s)
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE_BYTES):
            if self._phase in (Phase.ANSWER, Phase.CLOSING):
                self._drop_surplus()
                return
            self._feed(data[start : start + SLICE_BYTES])

    def _feed(self, data: bytes) -> None:
        self._begin_head()
        self._is_moving = False
        self._fed_bytes = self._held_bytes + len(data)
        self._framing_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            refused = unwrap(error)
            self._refuse(str(refused), refused.status)
            return
        self._held_bytes = 0 if self._is_moving else self._fed_bytes
        if self._held_bytes > self.limits.head_bytes:
            self._refuse(TOO_LARGE, 431)
        elif self._framing_bytes > self.limits.framing_bytes:
            self._refuse(TOO_LARGE_FRAMING, 431)

    def _begin_head(self) -> None:
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD, self.limits.request_s)
        elif self._phase is Phase.OPENED:
            self._phase = Phase.HEAD  # its deadline began with the connection

    def on_message_begin(self) -> None:
        if self._phase is Phase.ANSWER:
            raise RefusedError("a request came before the last one was answered")
        self._begin_head()
        super().on_message_begin()
        self._upload_until = None
        self.scope["extensions"] = {EXTENSION: {ALLOW: self._allow_upload}}

    def on_headers_complete(self) -> None:
        if self._fed_bytes > self.limits.head_bytes and self._head_bytes() > self.limits.head_bytes:
            raise RefusedError(TOO_LARGE, 431)
        self._check_head()
        super().on_headers_complete()
        self._is_moving = True
        self.headers = []  # for trailers; the request keeps the other list
        self._phase = Phase.BODY

    def _head_bytes(self) -> int:
        separators = len(b": \r\n")
        return len(self.url) + sum(
            len(name) + len(value) + separators for name, value in self.headers
        )

    def _check_head(self) -> None:
        """Raise RefusedError where it is ambiguous where this request ends or whom it is for."""
        version, names = self.parser.get_http_version(), [name for name, _ in self.headers]
        if version not in ("1.0", "1.1"):
            raise RefusedError("only HTTP/1.1 and HTTP/1.0 are spoken here")
        if self.parser.should_upgrade():
            raise RefusedError("no other protocol is spoken here")
        if names.count(b"host") != 1 and (version == "1.1" or b"host" in names):
            raise RefusedError("a request has one Host")
        if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
            raise RefusedError("the body's length is given in more than one way")
        coding = dict(self.headers)[b"transfer-encoding"] if b"transfer-encoding" in names else b""
        if coding and (version == "1.0" or coding.lower() != b"chunked"):
            raise RefusedError("the only transfer coding is chunked, in HTTP/1.1")

    def _check_held(self) -> None:
        """Raise RefusedError where the parser has buffered too much."""
        if not self._is_moving and self._fed_bytes > self.limits.head_bytes:
            raise RefusedError(TOO_LARGE, 431)

    def on_body(self, body: bytes) -> None:
        self._check_held()
        self._is_moving = True
        self._framing_bytes -= len(body)
        if self._upload_until is not None:
            self._count_upload(len(body), self._upload_until)
        elif not self.cycle.response_complete:
            self._count_body(len(body))
        super().on_body(body)

    def _allow_upload(self) -> None:
        """The endpoint knows who sends this request, and reads its body as it comes."""
        self._upload_until = self.loop.time() + self.limits.upload_s
        self._forget_body()
        if self._phase is Phase.BODY:
            self._extend_upload(self._upload_until)
        elif self._phase is Phase.ANSWER:
            self._enter(Phase.ANSWER, self.limits.upload_answer_s)

    def _extend_upload(self, until: float) -> None:
        self._deadline = min(self.loop.time() + self.limits.upload_idle_s, until)

    def _end_upload(self) -> None:
        """Answered: what is left of the body has the time of any other."""
        if self._upload_until is not None and self._phase is Phase.BODY:
            self._deadline = self.loop.time() + self.limits.request_s
        self._upload_until = None

    def _count_upload(self, size_bytes: int, until: float) -> None:
        """The connection stops reading while the endpoint does, so nothing fills the memory."""
        self._framing_bytes -= size_bytes // UPLOAD_FRAMING_SHARE
        self._extend_upload(until)

    def _count_body(self, size_bytes: int) -> None:
        """Limit the memory that many slow clients with large bodies can fill.

        Raises RefusedError.
        """
        self._body_bytes += size_bytes
        self.bodies.held_bytes += size_bytes
        is_large = self._body_bytes > self.limits.large_body_bytes
        if is_large and self.bodies.held_bytes > self.limits.large_bodies_bytes:
            raise RefusedError("too many large bodies at once", 503)

    def _forget_body(self) -> None:
        self.bodies.held_bytes -= self._body_bytes
        self._body_bytes = 0

    def on_message_complete(self) -> None:
        self._check_held()
        super().on_message_complete()
        self._framing_bytes = 0
        if self.cycle.response_complete:
            self._enter_idle()
        else:
            is_upload = self._upload_until is not None
            limits = self.limits
            self._enter(Phase.ANSWER, limits.upload_answer_s if is_upload else limits.answer_s)

    def on_response_complete(self) -> None:  # in place of uvicorn's, which sets its own timer
        self._forget_body()
        self._end_upload()
        if self.transport.is_closing():
            self._enter(Phase.CLOSING, self.limits.request_s)
            return
        self.flow.resume_reading()
        if self._phase is Phase.ANSWER:
            self._enter_idle()

    def _drop_surplus(self) -> None:
        # Never guess at what follows a request: answer that one and close.
        if self._phase is Phase.ANSWER:
            self.cycle.keep_alive = False

    def _refuse(self, reason: str, status: int) -> None:
        """Say why, unless an answer has begun, and end the connection.

        A complete request before it still gets its answer.
        """
        if self._phase is Phase.ANSWER:
            self._drop_surplus()
            return
        log.info("http.refused", extra={"status": status, "cause": reason})
        if self._phase is Phase.HEAD or not self.cycle.response_started:
            self.transport.write(refusal(status, reason, self.server_state.default_headers))
        if self._phase is Phase.BODY:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._enter(Phase.CLOSING, self.limits.linger_s)
        self.transport.write_eof()
