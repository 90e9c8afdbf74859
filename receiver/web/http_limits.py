"""What one connection may take of the web process."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpLimits:
    """Bytes, and seconds of each phase of a connection."""

    # Request line and headers; also the extensions of a chunk, and the trailers.
    head_bytes: int = 32 * 1024
    # All of these together, and the sizes of chunks: 64 KiB in chunks of one byte.
    framing_bytes: int = 512 * 1024
    # Far more than an event has.
    large_body_bytes: int = 64 * 1024
    # Of all connections together: beyond it, a large body gets 503.
    large_bodies_bytes: int = 64 * 1024 * 1024
    # From the opening, or the first byte on a kept connection, to the last byte of the body.
    request_s: float = 10
    # From there until the client has read the answer.
    answer_s: float = 30
    # Of an upload that an endpoint has allowed: between two pieces of its body, for all of it, and
    # from there until the client has read the answer.
    upload_idle_s: float = 30
    upload_s: float = 3600
    upload_answer_s: float = 900
    # Longer than most proxies keep a connection, so that they close it first.
    idle_s: float = 75
    # Connections of this process: while there are more, an idle one is soon closed.
    crowd: int = 200
    crowded_idle_s: float = 5
    # For a refused client to read why: closing a socket with unread input drops the answer.
    linger_s: float = 1
    # For requests in flight once the process stops.
    stop_s: float = 2
    tick_s: float = 0.5
