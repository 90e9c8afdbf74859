import io
import json
import logging
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from receiver.telemetry.logs import JsonFormatter, TextFormatter, set_up_logs
from receiver.telemetry.tracing import ContextThread, log_fields

HOSTILE = ['\n{"event": "forged"}', "\r\n\x1b[2J", "\u2028\x85\u202e", "\ud800", "\x9b31m"]
NAMES = ["a line", "a terminal's command", "separators", "half of a pair", "a C1 command"]
log = logging.getLogger("receiver.tests")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log.addHandler(handler)
    log.propagate = False
    yield stream
    log.removeHandler(handler)
    log.propagate = True


@pytest.fixture
def _own_logging() -> Iterator[None]:
    """What `set_up_logs` changes is put back."""
    root, names = logging.getLogger(), ("receiver", "workers", "rq", "uvicorn", "asyncio")
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in names}
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in names:
        logging.getLogger(name).setLevel(levels[name])


def test_event_and_fields_are_one_object(stream: io.StringIO) -> None:
    log.warning("batch.stored", extra={"batch": "batches/x", "ok": 3, "missing": None})
    line = json.loads(stream.getvalue())
    expected = {
        "level": "warning",
        "event": "batch.stored",
        "logger": "receiver.tests",
        "batch": "batches/x",
        "ok": 3,
    }
    assert line | expected == line
    assert line["missing"] is None
    assert line["time"].endswith("Z")


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=NAMES)
def test_no_value_forges_a_line(number: int) -> None:
    hostile = HOSTILE[number]  # half of a pair could not be told of by a test that runs elsewhere
    record = logging.makeLogRecord(
        {"name": "receiver", "msg": f"refused {hostile}", "webhook_id": hostile}
    )
    text = JsonFormatter().format(record)
    assert text.isascii()
    assert len(text.splitlines()) == 1
    assert json.loads(text)["webhook_id"] == hostile


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=NAMES)
def test_no_value_steers_a_terminal(number: int) -> None:
    hostile = HOSTILE[number]
    caught = (ValueError, ValueError(hostile), None)
    fields = {
        "name": "receiver",
        "msg": f"refused {hostile}",
        "webhook_id": hostile,
        f"x{hostile}": 1,
    }
    first, *trace = (
        TextFormatter(coloured=False)
        .format(logging.makeLogRecord(fields | {"exc_info": caught}))
        .split("\n")
    )
    assert first.isprintable()
    assert trace
    assert [line for line in trace if not line.isprintable() or not line.startswith("    ")] == []


def test_person_reads_words() -> None:
    fields = {
        "name": "receiver",
        "msg": "batch.stored",
        "batch": "batches/x",
        "ok": 3,
        "cause": 'a "b" = c',
        "none": None,
    }
    line = TextFormatter(coloured=False).format(
        logging.makeLogRecord(fields | {"levelname": "INFO"})
    )
    assert (
        line[12:] == ' info     batch.stored batch=batches/x ok=3 cause="a \\"b\\" = c" none=none'
    )


def test_colours_are_asked_for() -> None:
    record = logging.makeLogRecord({"name": "receiver", "msg": "batch.stored"})
    assert "\x1b[1mbatch.stored\x1b[0m" in TextFormatter(coloured=True).format(record)


def test_library_speaks_in_a_message() -> None:
    record = logging.makeLogRecord({"name": "rq.worker", "msg": "Worker %s: bye", "args": ("w",)})
    line = json.loads(JsonFormatter().format(record))
    assert (line["event"], line["message"], line["logger"]) == (
        "rq.logged",
        "Worker w: bye",
        "rq.worker",
    )


def test_librarys_trace_is_indented() -> None:
    record = logging.makeLogRecord(
        {"name": "rq.worker", "msg": "failed:\nTraceback\n  x\x1b[2J", "batch": "batches/x"}
    )
    first, *rest = TextFormatter(coloured=False).format(record).split("\n")
    assert first.endswith("rq.logged message=failed: batch=batches/x")
    assert rest == ["    Traceback", "      x\\x1b[2J"]


def test_long_values_are_cut(stream: io.StringIO) -> None:
    log.error("refused", extra={"cause": "x" * 100_000})
    assert len(stream.getvalue()) < 3000


def test_trace_stays_on_the_line(stream: io.StringIO) -> None:
    try:
        int("boom")
    except ValueError:
        log.exception("batch.crashed")
    assert len(stream.getvalue().splitlines()) == 1
    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["trace"]


@pytest.mark.usefixtures("_own_logging")
def test_work_marks_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Also those of libraries, and those of threads that do a part of it."""
    set_up_logs("INFO", "json")
    with log_fields(batch="batches/x"), log_fields(attempt=2):
        log.info("one")
        thread = ContextThread(target=logging.getLogger("rq.worker").warning, args=("two",))
        thread.start()
        thread.join()
        log.info("three", extra={"batch": "batches/other"})
    log.info("four")
    seen = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line.get("batch"), line.get("attempt")) for line in seen] == [
        ("batches/x", 2),
        ("batches/x", 2),
        ("batches/other", 2),
        (None, None),
    ]


@pytest.mark.usefixtures("_own_logging")
@pytest.mark.parametrize(
    ("level", "heard"), [("INFO", ["b", "c"]), ("DEBUG", ["a", "b", "c", "d"])]
)
def test_talkative_libraries_are_heard_at_debug(
    level: str, heard: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """httpx and its like never: they write whole URLs."""
    set_up_logs(level, "json")
    logging.getLogger("receiver.tests").debug("a")
    logging.getLogger("receiver.tests").info("b")
    logging.getLogger("httpx").warning("c")
    logging.getLogger("rq.worker").debug("d")
    for name in ("httpx", "httpcore.connection", "urllib3", "anything"):
        logging.getLogger(name).info("e")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("message", line["event"]) for line in lines] == heard


CRASHING = """
import logging, sys, threading, warnings
from receiver.telemetry.logs import log_uncaught_errors, set_up_logs
set_up_logs("INFO", sys.argv[1])
log_uncaught_errors()
class Spoilt:
    def __del__(self):
        raise ValueError("in a destructor")
Spoilt()
thread = threading.Thread(target=lambda: int("in\\na thread"), name="lease")
thread.start()
thread.join()
warnings.warn("old\\nthing")
int("in\\nmain")
"""


def test_what_escapes_is_a_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHING, "auto"], capture_output=True, text=True, check=False
    )
    seen = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [line["event"] for line in seen] == [
        "error.ignored",
        "thread.crashed",
        "python.warned",
        "process.crashed",
    ]
    assert ["trace" in line for line in seen] == [True, True, False, True]
    assert (seen[1]["in_thread"], seen[2]["cause"]) == ("lease", "old\nthing")


@pytest.mark.parametrize(
    ("quiet", "colour"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_terminal_shows_words(quiet: dict[str, str], colour: bool) -> None:  # noqa: FBT001 - a table's column
    leader, follower = pty.openpty()
    given = (
        {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        | {"TERM": "xterm"}
        | quiet
    )
    subprocess.run(
        [sys.executable, "-c", CRASHING, "auto"], stderr=follower, check=False, env=given
    )
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    os.close(follower)
    assert ("\x1b[33mwarning " in shown) is colour
    assert [
        line for line in shown.splitlines() if line.removeprefix("\x1b[2m")[:1] not in "0123456789 "
    ] == []


TURNS = """
import asyncio, io, json, logging, sys, threading
from receiver.telemetry.logs import flush_logs, set_up_logs

class Recorder(io.StringIO):
    writes = []
    def write(self, text):
        self.writes.append(text)

set_up_logs("INFO", "json")
sys.stderr, shown, log = Recorder(), sys.stderr, logging.getLogger("receiver")

def seen():
    found = [[json.loads(line)["event"] for line in text.splitlines()] for text in Recorder.writes]
    Recorder.writes.clear()
    return found

async def main():
    log.info("one"), log.info("two")
    before = seen()
    await asyncio.sleep(0)
    together = seen()
    log.info("one"), log.warning("at once"), log.info("three")
    thread = threading.Thread(target=log.info, args=("of a thread",))
    thread.start(), thread.join()
    in_order = seen()
    for _ in range(100):
        log.info("long", extra={"text": "x" * 1000})
    flush_logs()
    longest = max(map(len, Recorder.writes))
    print(json.dumps([before, together, in_order, longest, sum(map(len, seen()))]))

asyncio.run(main())
"""


def test_lines_of_a_turn_are_written_together() -> None:
    done = subprocess.run([sys.executable, "-c", TURNS], capture_output=True, text=True, check=True)
    before, together, in_order, longest, lines = json.loads(done.stdout)
    assert before == []
    assert together == [["one", "two"]]
    assert in_order == [["one", "at once"], ["three", "of a thread"]]
    assert 2000 < longest <= select.PIPE_BUF
    assert lines == 100
