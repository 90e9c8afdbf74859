"""Logs: one line per event on stderr, with a stable name (`deploy/LOGS.md` lists them all).

A line is a JSON object for programs, or words for people. Nothing that a sender wrote begins one.
"""

import asyncio
import functools
import json
import logging
import os
import re
import sys
import threading
import time
import warnings
from types import TracebackType
from typing import Any, TextIO

from receiver.telemetry.tracing import current_fields, current_ids, is_traced

OURS = frozenset({"receiver", "workers"})
# OpenTelemetry's names of what we log as trace_id and span_id.
OPENTELEMETRY_FIELDS = {"otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName"}
PLAIN_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
HIDDEN_FIELDS = PLAIN_FIELDS | OPENTELEMETRY_FIELDS
PLAIN_TYPES = (int, float, type(None))
MAX_VALUE_CHARS = 2000
PIPE_CHARS = 4096  # what a pipe takes as a whole, whichever processes write to it
PLAIN_VALUE = re.compile(r'[^\s"=]+')
# SGR codes of a terminal.
COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}
# Their lines below WARNING are kept at DEBUG. Those of others never are: httpx logs whole URLs.
VERBOSE = ("asyncio", "rq", "uvicorn")
log = logging.getLogger(__name__)


def _value(value: object) -> object:
    return value if isinstance(value, PLAIN_TYPES) else str(value)[:MAX_VALUE_CHARS]


@functools.lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _describe(record: logging.LogRecord) -> dict[str, Any]:
    """The event and its fields.

    The free text of a library becomes the `message` of an event `<library>.logged`.

    `log.info("delivery.recorded", extra={"batch": …})` gives
    {"event": "delivery.recorded", "batch": …}.
    """
    library, said = record.name.partition(".")[0], record.getMessage()[:MAX_VALUE_CHARS]
    line: dict[str, Any] = (
        {"event": said} if library in OURS else {"event": f"{library}.logged", "message": said}
    )
    for name, value in vars(record).items():
        if name not in HIDDEN_FIELDS:
            line[name] = _value(value)
    return line


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of ASCII JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            **_describe(record),
            "logger": record.name,
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """Formats a record as time of day, level, event and `name=value` fields.

    Tracebacks, and the further lines of long texts, are indented.
    """

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        fields, level = _describe(record), record.levelname.lower()
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        event = escape_unprintable(fields.pop("event"))
        message, *more = str(fields.pop("message", "")).splitlines() or [""]
        fields = ({"message": message} if message else {}) | fields

        words = [
            self._paint(f"{clock}.{int(record.msecs):03d}", "2"),
            self._paint(f"{level:<8}", COLOURS.get(level, "0")),
            self._paint(event, "1"),
        ]
        for name, value in fields.items():
            words.append(self._paint(f"{escape_unprintable(name)}=", "2") + _show(value))

        if record.exc_info:
            more += self.formatException(record.exc_info).splitlines()
        return "\n".join([" ".join(words), *(f"    {escape_unprintable(line)}" for line in more)])

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text


def escape_unprintable(text: str) -> str:
    r"""Escape everything that is not printable, so that it can't move a cursor or begin a line.

    >>> print(escape_unprintable("a\n\x1b[2J\u202eb"))
    a\n\x1b[2J\u202eb
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _show(value: object) -> str:
    """A value as one word, in quotes where it has spaces or quotes."""
    text = "none" if value is None else str(value)
    return escape_unprintable(
        text if PLAIN_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to the current stderr: a progress bar on a terminal replaces it for a while.

    Within an event loop, lines below WARNING wait for the end of its turn: deliveries are recorded
    together, and their lines are written together.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self._lines, self._chars = list[str](), 0

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields of the current work; this runs in the thread that logs."""
        for name, value in (*current_fields().items(), *current_ids().items()):
            vars(record).setdefault(name, value)
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + self.terminator
            if self._chars + len(line) > PIPE_CHARS:
                self.flush()
            self._lines.append(line)
            self._chars += len(line)
            if record.levelno >= logging.WARNING or not self._flush_after_turn():
                self.flush()
        except Exception:  # noqa: BLE001 - as every handler: no work fails for want of a line
            self.handleError(record)

    def _flush_after_turn(self) -> bool:
        """Whether an event loop will."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if len(self._lines) == 1:
            loop.call_soon(self.flush)
        return True

    def flush(self) -> None:
        """Write the lines that wait."""
        self.acquire()
        try:
            text, self._lines, self._chars = "".join(self._lines), [], 0
            if text:
                self.stream.write(text)
            self.stream.flush()
        finally:
            self.release()


def _choose_format(form: str) -> logging.Formatter:
    is_terminal = sys.stderr.isatty()
    if form == "json" or (form == "auto" and not is_terminal):
        return JsonFormatter()
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return TextFormatter(coloured=is_terminal and not is_plain)


def set_up_logs(level: str, form: str) -> None:
    """Format all logs in one way: ours from `level` on, those of libraries from WARNING on."""
    # What no line shows is not looked up: see "Optimization" in the HOWTO of Python's logging.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if not is_traced():  # OpenTelemetry passes it on
        logging._srcfile = None  # type: ignore[attr-defined]  # noqa: SLF001 - likewise
    handler = _Handler()
    handler.setFormatter(_choose_format(form))
    logging.basicConfig(
        level=max(logging.getLevelName(level), logging.WARNING), handlers=[handler], force=True
    )
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name in VERBOSE:
        logging.getLogger(name).setLevel(level if level == "DEBUG" else logging.NOTSET)
    # RQ sets INFO where it finds nothing set.
    logging.getLogger("rq.worker").setLevel(logging.NOTSET)
    warnings.showwarning = _log_warning
    sys.excepthook = _log_crash


def flush_logs() -> None:
    """Write the lines that wait for the end of an event loop's turn, where there will be none."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def log_uncaught_errors() -> None:
    """Log what ends a thread, and what Python would ignore, in a process that nobody watches."""
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_ignored


def _log_warning(  # noqa: PLR0913, PLR0917 - the signature of `warnings.showwarning`
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - likewise
    line: str | None = None,  # noqa: ARG001 - likewise
) -> None:
    place = f"{filename}:{lineno}"
    log.warning(
        "python.warned",
        extra={"cause": str(message), "category": category.__name__, "place": place},
    )


def _log_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    log.critical("process.crashed", exc_info=(kind, error, trace))


def _log_thread(args: threading.ExceptHookArgs) -> None:
    error = args.exc_value or args.exc_type()
    name = args.thread.name if args.thread else ""
    log.error(
        "thread.crashed",
        extra={"in_thread": name},
        exc_info=(args.exc_type, error, args.exc_traceback),
    )


def _log_ignored(ignored: Any) -> None:
    error = ignored.exc_value or ignored.exc_type()
    where = f"{ignored.err_msg or 'Exception ignored in'}: {ignored.object!r}"
    log.error(
        "error.ignored",
        extra={"cause": where},
        exc_info=(type(error), error, ignored.exc_traceback),
    )
