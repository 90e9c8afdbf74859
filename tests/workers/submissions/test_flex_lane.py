"""Requests that are sent one by one: each is paid for once at most, and has one line."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from receiver.errors import GeminiError, ShuttingDownError, StepPendingError
from receiver.gemini.batches import Gemini
from receiver.gemini.content import generate_flex
from receiver.storage import LocalStorage
from receiver.submissions.flex_records import FlexRecords
from tests.sandbox.conftest import Json, Sandbox, running_sandbox
from tests.waiting import eventually
from workers.submissions.flex_lane import MAX_CALLS, FlexLane, FlexRequest
from workers.submissions.flex_lines import Asked, read_asked, read_request

MODEL = "gemini-3.8-flash"


def request(number: int, text: str) -> FlexRequest:
    content = {"contents": [{"parts": [{"text": f"{number} {text}"}]}]}
    line = {"key": f"k{number}", "tag": "kept", "request": content}
    return FlexRequest(number, read_asked(json.dumps(line).encode()))


def requests(*texts: str) -> list[FlexRequest]:
    return [request(number, text) for number, text in enumerate(texts, 1)]


class Lane:
    """What one test sends with."""

    def __init__(self, folder: Path, url: str) -> None:
        self.records = FlexRecords(LocalStorage(folder), "0" * 20, 1)
        self._url = url

    def run(
        self,
        asked: Iterable[FlexRequest],
        check: Callable[[], None] = lambda: None,
        slice_s: float = 60,
    ) -> None:
        """One job, which leaves out what has its line."""
        progress = self.records.load()
        with Gemini(self._url, "a-key") as gemini:

            def send(one: Asked) -> bytes:
                return generate_flex(gemini.transport, MODEL, read_request(one))

            lane = FlexLane(self.records, progress, send, check, slice_s)
            lane.run(one for one in asked if one.number not in progress.answered)

    def lines(self) -> dict[int, Json]:
        answered = self.records.load().answered
        return {
            one: json.loads(bytes(self.records.read_answer(one).line)) for one in sorted(answered)
        }


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "log", "--payments") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Gemini, which keeps what was paid for."""
    yield shared_sandbox
    shared_sandbox.ask("DELETE", "/sandbox/state")


@pytest.fixture
def lane(tmp_path: Path, sandbox: Sandbox) -> Lane:
    return Lane(tmp_path / "storage", sandbox.url)


def paid(sandbox: Sandbox) -> Counter[str]:
    payments = sandbox.ask("GET", "/sandbox/payments")["payments"]
    assert {one["by"] for one in payments} <= {"flex"}
    return Counter(one["text"] for one in payments)


def test_each_request_has_its_line_and_is_paid_for_once(lane: Lane, sandbox: Sandbox) -> None:
    asked = requests(*["hello"] * 30)
    lane.run(asked)
    lane.run(asked)
    lines = lane.lines()
    assert list(lines) == list(range(1, 31))
    assert all(list(line) == ["response", "tag", "key"] for line in lines.values())
    assert lines[7]["key"] == "k7"
    assert "7 hello" in lines[7]["response"]["candidates"][0]["content"]["parts"][0]["text"]
    assert set(paid(sandbox).values()) == {1}
    assert len(paid(sandbox)) == 30


@pytest.mark.parametrize("status", [503, 429])
def test_full_tier_is_waited_for(lane: Lane, sandbox: Sandbox, status: int) -> None:
    sandbox.fault(generate_status={"status": status, "times": 3})
    lane.run(requests(*["hello"] * 10))
    assert all("response" in line for line in lane.lines().values())
    assert set(paid(sandbox).values()) == {1}
    assert len(paid(sandbox)) == 10


def test_long_wait_is_for_a_later_job(lane: Lane, sandbox: Sandbox) -> None:
    sandbox.fault(generate_status={"status": 503, "times": 1, "retry_after": 120})
    with pytest.raises(StepPendingError) as pending:
        lane.run(requests("hello"))
    assert 90 < pending.value.delay_s < 150
    assert not lane.lines()
    lane.run(requests("hello"))
    assert lane.lines()[1]["response"]


def test_what_gemini_refuses_for_good_is_sent_once(lane: Lane) -> None:
    lane.run(requests("[sandbox:error 3]", "hello"))
    error = lane.lines()[1]["error"]
    assert error["code"] == 3
    assert "INVALID_ARGUMENT" in error["message"]
    assert lane.records.load().attempts[1] == 1


def test_failing_request_is_tried_three_times(lane: Lane) -> None:
    lane.run(requests("[sandbox:error 13]", "[sandbox:error 13 x2]"))
    assert lane.lines()[1]["error"]["code"] == 13
    assert "response" in lane.lines()[2]
    assert lane.records.load().attempts == {1: 3, 2: 3}


def test_key_that_is_refused_is_no_fault_of_the_requests(lane: Lane, sandbox: Sandbox) -> None:
    sandbox.fault(generate_status={"status": 403, "times": "all"})
    with pytest.raises(GeminiError, match="GEMINI_API_KEY"):
        lane.run(requests("a", "b"))
    assert not lane.lines()
    sandbox.fault(generate_status=None)
    lane.run(requests("a", "b"))
    assert set(paid(sandbox).values()) == {1}


def test_slice_ends_and_the_next_job_goes_on(lane: Lane, sandbox: Sandbox) -> None:
    sandbox.fault(delay_answers_s=0.2)
    asked = requests(*["hello"] * 40)
    jobs = 0
    while len(lane.lines()) < len(asked):
        jobs += 1
        with suppress(StepPendingError):
            lane.run(asked, slice_s=0.3)
    assert jobs > 1
    assert set(paid(sandbox).values()) == {1}


def test_job_that_must_stop_keeps_what_is_answered_at_once(lane: Lane, sandbox: Sandbox) -> None:
    sandbox.fault(delay_answers_s=0.5)
    begun = threading.Event()

    def check() -> None:
        if lane.records.load().attempts and begun.wait(0.2):
            raise ShuttingDownError("stop")
        begun.set()

    with pytest.raises(ShuttingDownError):
        lane.run(requests(*["hello"] * 3), check)
    assert len(lane.lines()) == len(paid(sandbox)) > 0


def test_stop_does_not_wait_for_a_slow_answer(lane: Lane, sandbox: Sandbox) -> None:
    sandbox.fault(delay_answers_s=30)

    def check() -> None:
        if paid(sandbox):
            raise ShuttingDownError("stop")

    done = threading.Event()

    def run() -> None:
        with pytest.raises(ShuttingDownError):
            lane.run(requests("hello"), check)
        done.set()

    threading.Thread(target=run, daemon=True).start()
    assert done.wait(5)
    assert lane.records.load().is_lost(1)


def test_another_process_that_began_a_request_is_not_doubled(lane: Lane, sandbox: Sandbox) -> None:
    progress = lane.records.load()
    assert lane.records.begin(1, 1)
    assert not lane.records.begin(1, 1)
    sent = list[Asked]()

    def send(one: Asked) -> bytes:
        sent.append(one)
        return b"{}"

    with pytest.raises(StepPendingError, match="another process"):
        FlexLane(lane.records, progress, send, lambda: None).run(iter(requests("hello")))
    assert not sent
    assert not paid(sandbox)


def test_first_line_of_a_request_stays(lane: Lane) -> None:
    assert lane.records.answer(1, b'{"key":"first"}')
    assert not lane.records.answer(1, b'{"key":"late"}')
    assert lane.lines() == {1: {"key": "first"}}


def test_lost_answer_is_told_and_never_asked_for_again(tmp_path: Path) -> None:
    with cutting() as (url, calls):
        lane = Lane(tmp_path / "storage", url)
        lane.run(requests("hello"))
        lane.run(requests("hello"))
    line = lane.lines()[1]
    assert line["error"]["code"] == 15
    assert "nobody knows whether Gemini answered this request" in line["error"]["message"]
    assert line["response"] == {"usageMetadata": {}}
    assert calls == ["POST"]


def test_error_of_something_on_the_way_is_a_lost_answer(tmp_path: Path) -> None:
    with cutting(b"HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 2\r\n\r\nno") as (url, calls):
        lane = Lane(tmp_path / "storage", url)
        lane.run(requests("hello"))
    assert lane.lines()[1]["error"]["code"] == 15
    assert calls == ["POST"]


def test_gemini_that_is_away_gets_no_request(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    lane = Lane(tmp_path / "storage", f"http://127.0.0.1:{port}")
    with pytest.raises(StepPendingError):
        lane.run(requests("hello"), slice_s=0.5)
    assert not lane.lines()
    assert not lane.records.load().is_lost(1)


def test_no_more_calls_are_made_at_a_time_than_allowed(lane: Lane, sandbox: Sandbox) -> None:
    sandbox.fault(delay_answers_s=30)
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise ShuttingDownError("stop")

    def run() -> None:
        with pytest.raises(ShuttingDownError):
            lane.run(requests(*["hello"] * 20), check)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    eventually(lambda: len(paid(sandbox)) == MAX_CALLS, 10)
    stop.set()
    thread.join(10)
    assert len(paid(sandbox)) == len(lane.records.load().attempts) == MAX_CALLS


@contextmanager
def cutting(answer: bytes = b"") -> Iterator[tuple[str, list[str]]]:
    """A server that ends each connection with `answer`; gives its URL, and what was asked."""
    calls = list[str]()

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                calls.append(connection.recv(65536).split()[0].decode())
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
