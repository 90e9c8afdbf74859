"""What the programs of the service write, on the stderr of `up`: each line says whose it is."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress

from receiver.telemetry.logs import escape_unprintable

NAME_WIDTH = 9
log = logging.getLogger(__name__)


def choose_output(form: str) -> Callable[[str, str], None]:
    """What passes on a program's name and line in the form of our own logs, `text` or `json`."""
    return _pass_text if form == "text" else _pass_json


def _pass_text(name: str, line: str) -> None:
    _write(f"{name:<{NAME_WIDTH}}| {escape_unprintable(line)}")


def _pass_json(name: str, line: str) -> None:
    """A log line gets the field `program`; anything else becomes a log line."""
    if line.startswith('{"'):
        _write(f'{{"program": {json.dumps(name)}, {line[1:]}')
    else:
        log.info("service.said", extra={"program": name, "text": line})


def _write(line: str) -> None:
    with suppress(OSError, ValueError):  # whoever read it has gone; the service goes on
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
