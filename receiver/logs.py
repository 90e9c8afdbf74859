"""Logs: one JSON object a line on stderr, with a stable event name; nothing a sender wrote can start a line."""

import json
import logging
import sys
import time
from typing import Any

PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
MAX_VALUE = 2000


def _value(value: object) -> object:
    return value if isinstance(value, int | float | bool) or value is None else str(value)[:MAX_VALUE]


class JsonFormatter(logging.Formatter):
    """`log.info("delivery.accepted", extra={"batch": …})` becomes one line of ASCII JSON."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage()[:MAX_VALUE],
            "logger": record.name,
        }
        line |= {name: _value(value) for name, value in vars(record).items() if name not in PLAIN_FIELDS}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logs(level: str) -> None:
    """Send every library's log through our formatter, at this level (our own libraries' chatter at WARNING)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "rq.worker", "rq.job", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(max(logging.getLevelName(level), logging.WARNING))
