"""What belongs to one piece of work: the fields of its log lines, and its trace.

A job continues the trace of its delivery. Without an OpenTelemetry SDK this is a no-op: only the
API is called; `opentelemetry-instrument` brings the SDK, and the spans of requests and of calls to
Gemini.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, copy_context
from types import MappingProxyType

from opentelemetry import trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from starlette.types import ASGIApp, Receive, Scope, Send

# `traceparent` of W3C Trace Context.
CARRIED = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])")
FLUSH_S = 1.0  # the longest delay by a collector that is away
_tracer = trace.get_tracer("gemini-batch-receiver")
_fields: ContextVar[Mapping[str, str | int]] = ContextVar(
    "log_fields", default=MappingProxyType({})
)


def current_fields() -> Mapping[str, str | int]:
    """By name; empty outside of `log_fields`."""
    return _fields.get()


@contextmanager
def log_fields(**fields: str | int) -> Iterator[None]:
    """Add fields to every line that is logged within the `with`: a batch and its attempt, say."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def add_log_fields(**fields: str | int) -> None:
    """Add fields to every line that the current asyncio task logs from now on."""
    _fields.set({**_fields.get(), **fields})


class ContextThread(threading.Thread):
    """A thread with the context of its starter: its lines have the same fields and trace."""

    def start(self) -> None:
        self._starter = copy_context()
        super().start()

    def run(self) -> None:
        for variable, value in self._starter.items():
            variable.set(value)
        super().run()


def is_traced() -> bool:
    """Whether this process has an SDK."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def current_ids() -> dict[str, str]:
    """`trace_id` and `span_id` in hex; nothing outside of a span."""
    span = trace.get_current_span().get_span_context()
    return (
        {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        if span.is_valid
        else {}
    )


def carry_trace() -> str:
    """The current span as a `traceparent`; empty outside of a span."""
    span = trace.get_current_span().get_span_context()
    return (
        f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 1:02x}"
        if span.is_valid
        else ""
    )


def _parent(carried: str) -> Context:
    """The context of a `traceparent` from Redis; an empty one where it is none."""
    match = CARRIED.fullmatch(carried)
    if match is None:
        return Context()
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    remote = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return trace.set_span_in_context(NonRecordingSpan(remote), Context())


def _attributes() -> dict[str, str | int]:
    return {f"gbr.{name}": value for name, value in current_fields().items()}


@contextmanager
def job_span(carried: str) -> Iterator[None]:
    """The span of one attempt: a child of the delivery that opened the entry, else a root."""
    with _tracer.start_as_current_span(
        "batch.process", context=_parent(carried), kind=SpanKind.CONSUMER, attributes=_attributes()
    ):
        yield


def stage(name: str) -> AbstractContextManager[Span]:
    """A span of one stage of a job, with the fields of its log lines as attributes."""
    return _tracer.start_as_current_span(f"batch.{name}", attributes=_attributes())


def flush_spans() -> None:
    """Flush spans and logs before `os._exit`, which skips atexit hooks. Takes FLUSH_S at most."""
    deadline = time.monotonic() + FLUSH_S
    providers = (trace.get_tracer_provider(), get_logger_provider())
    flushes = [getattr(one, "force_flush", None) for one in providers]  # an SDK's have it
    threads = [threading.Thread(target=one, name="flush", daemon=True) for one in flushes if one]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class ForeignTraceFilter:
    """ASGI middleware: drops trace headers, so that no sender chooses the trace of a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._foreign = {name.lower().encode() for name in get_global_textmap().fields}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [
                field for field in scope["headers"] if field[0] not in self._foreign
            ]
        await self._app(scope, receive, send)
