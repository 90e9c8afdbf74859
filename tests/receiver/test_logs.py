import io
import json
import logging
from collections.abc import Iterator

import pytest

from receiver.logs import JsonFormatter


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("tests.logs")
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)


def test_event_and_fields_are_one_object(stream: io.StringIO) -> None:
    logging.getLogger("tests.logs").warning("batch.stored", extra={"batch": "batches/x", "ok": 3, "missing": None})
    line = json.loads(stream.getvalue())
    expected = {"level": "warning", "event": "batch.stored", "logger": "tests.logs", "batch": "batches/x", "ok": 3}
    assert line | expected == line
    assert line["missing"] is None
    assert line["time"].endswith("Z")


@pytest.mark.parametrize(
    "hostile",
    ['\n{"event": "forged"}', "\r\n\x1b[2J", "\u2028\x85", "\ud800"],
    ids=["a line", "a terminal's command", "separators", "half of a pair"],
)
def test_no_value_forges_a_line(hostile: str) -> None:
    text = JsonFormatter().format(logging.makeLogRecord({"msg": f"refused {hostile}", "webhook_id": hostile}))
    assert text.isascii()
    assert len(text.splitlines()) == 1
    assert json.loads(text)["webhook_id"] == hostile


def test_long_values_are_cut(stream: io.StringIO) -> None:
    logging.getLogger("tests.logs").error("refused", extra={"cause": "x" * 100_000})
    assert len(stream.getvalue()) < 3000


def test_trace_stays_on_the_line(stream: io.StringIO) -> None:
    try:
        int("boom")
    except ValueError:
        logging.getLogger("tests.logs").exception("batch.crashed")
    assert len(stream.getvalue().splitlines()) == 1
    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["trace"]
