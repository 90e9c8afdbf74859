"""What a log line looks like: a JSON object for programs, words for people. Nothing a sender wrote starts a line."""

import json
import logging
import re
import time
from typing import Any

OURS = frozenset({"receiver", "workers"})
OPENTELEMETRYS = {
    "otelSpanID",
    "otelTraceID",
    "otelTraceSampled",
    "otelServiceName",
}  # we write them in our own words
PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
MAX_VALUE = 2000
PLAIN_VALUE = re.compile(r'[^\s"=]+')
COLOURS = {
    "debug": "2",
    "info": "32",
    "warning": "33",
    "error": "31",
    "critical": "31;1",
}  # SGR codes of a terminal


def _value(value: object) -> object:
    return (
        value if isinstance(value, int | float | bool) or value is None else str(value)[:MAX_VALUE]
    )


def _describe(record: logging.LogRecord) -> dict[str, Any]:
    """The event and its fields. What a library says in free text is the `message` of an event `<library>.logged`.

    `log.info("delivery.recorded", extra={"batch": …})` gives {"event": "delivery.recorded", "batch": …}.
    """
    library, said = record.name.partition(".")[0], record.getMessage()[:MAX_VALUE]
    line: dict[str, Any] = (
        {"event": said} if library in OURS else {"event": f"{library}.logged", "message": said}
    )
    hidden = PLAIN_FIELDS | OPENTELEMETRYS
    return line | {
        name: _value(value) for name, value in vars(record).items() if name not in hidden
    }


class JsonFormatter(logging.Formatter):
    """One line of ASCII JSON."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
        }
        line |= _describe(record) | {"logger": record.name}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """The time of day, the level, the event, `name=value`; traces, and the rest of long texts, on indented lines."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        fields, level = _describe(record), record.levelname.lower()
        clock = (
            f"{time.strftime('%H:%M:%S', time.localtime(record.created))}.{int(record.msecs):03d}"
        )
        event = harmless(fields.pop("event"))
        message, *more = str(fields.pop("message", "")).splitlines() or [""]
        fields = ({"message": message} if message else {}) | fields
        words = [
            self._paint(clock, "2"),
            self._paint(f"{level:<8}", COLOURS.get(level, "0")),
            self._paint(event, "1"),
        ]
        words += [
            self._paint(f"{harmless(name)}=", "2") + _show(value) for name, value in fields.items()
        ]
        trace = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return "\n".join([" ".join(words), *(f"    {harmless(line)}" for line in (*more, *trace))])

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text


def harmless(text: str) -> str:
    r"""Everything that is not printable is escaped: it moves no cursor, and begins no line.

    >>> print(harmless("a\n\x1b[2J\u202eb"))
    a\n\x1b[2J\u202eb
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _show(value: object) -> str:
    """A value in one word, in quotes where it would not be one."""
    text = "none" if value is None else str(value)
    return harmless(text if PLAIN_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=False))
