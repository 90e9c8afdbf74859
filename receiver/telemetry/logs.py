"""Logs: one line an event on stderr, with a stable name (`deploy/LOGS.md` has them all)."""

import logging
import os
import sys
import threading
import warnings
from types import TracebackType
from typing import Any, TextIO

from receiver.telemetry.log_fields import current_fields
from receiver.telemetry.log_formats import OURS, JsonFormatter, TextFormatter
from receiver.telemetry.tracing import current_ids

# What these say below WARNING is let through at DEBUG. All others stay out: httpx, for one, writes whole URLs.
TALKATIVE = ("asyncio", "rq", "uvicorn")
log = logging.getLogger(__name__)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at that moment: progress on a terminal takes it over for a while."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def filter(self, record: logging.LogRecord) -> bool:
        """In the thread that logs, which alone knows what it works on."""
        for name, value in (*current_fields().items(), *current_ids().items()):
            vars(record).setdefault(name, value)
        return super().filter(record)


def _choose_format(form: str) -> logging.Formatter:
    is_terminal = sys.stderr.isatty()
    if form == "json" or (form == "auto" and not is_terminal):
        return JsonFormatter()
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return TextFormatter(coloured=is_terminal and not is_plain)


def set_up_logs(level: str, form: str) -> None:
    """Send every library's log through our formatter; ours at this level, the others' at WARNING or above."""
    handler = _Handler()
    handler.setFormatter(_choose_format(form))
    logging.basicConfig(
        level=max(logging.getLevelName(level), logging.WARNING), handlers=[handler], force=True
    )
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(level if level == "DEBUG" else logging.NOTSET)
    logging.getLogger("rq.worker").setLevel(
        logging.NOTSET
    )  # rq sets INFO where nobody has set anything
    warnings.showwarning = _log_warning
    sys.excepthook = _log_crash


def log_what_escapes() -> None:
    """In a process that nobody watches: what ends a thread, or is ignored by Python, is a line too."""
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
