"""The recorder between real clients and a real Valkey, and what the model says of its traces."""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from deploy.sandbox.processes import start, stop
from deploy.sandbox.valkey import start_valkey
from receiver.errors import ReceiverError
from receiver.inbox.ledger import Arrival, Inbox, accept_args
from receiver.inbox.redis import KEYS, RECONCILE, connect, read_script
from tests.chaos.ledger_round import Round
from tests.chaos.resp import encode
from tests.chaos.system import System
from tests.model.faults import FAULTS, Fault
from tests.model.model import RefusedError
from tests.model.trace import Figures, validate
from tests.waiting import eventually

ONE = [Arrival("batches/a", "batch.succeeded", "static", "msg_1")]


@contextmanager
def recorded(folder: Path, fault: str = "") -> Iterator[System]:
    """A Valkey with its recorder; `redis_url` is the recorder's."""
    system = System(folder, "", 1)
    if fault:
        system.planted_fault = fault
    try:
        system.start_valkey()
        system.start_recorder()
        yield system
    finally:
        system.stop_all()


def trace_of(system: System) -> Path:
    """The whole one: the recorder has ended."""
    assert system.recorder is not None
    stop(system.recorder)
    return system.trace


def lines_of(trace: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in trace.read_text().splitlines()]


def raw(word: float | bytes) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def rewrite(trace: Path, lines: list[dict[str, object]]) -> Path:
    trace.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return trace


def test_round_is_accepted(tmp_path: Path) -> None:
    with recorded(tmp_path) as system:
        with connect(system.redis_url) as client:
            Round(client).go()
        figures = validate(trace_of(system))
    assert figures.calls > 50
    assert (figures.lost, figures.states) == (0, 1)


@pytest.mark.parametrize(
    "fault", [one for one in FAULTS if one.shows_in_real_time], ids=lambda fault: fault.name
)
def test_planted_fault_is_refused(fault: Fault, tmp_path: Path) -> None:
    with recorded(tmp_path, fault.name) as system:
        # The round itself may find that something is wrong; the trace has to say so.
        with connect(system.redis_url) as client, suppress(AssertionError, ReceiverError):
            Round(client).go()
        with pytest.raises(RefusedError, match=r"trace\.jsonl line \d+: "):
            validate(trace_of(system))


def test_call_of_a_killed_process_is_recorded(tmp_path: Path) -> None:
    """It ends right after it has sent it, and never hears the answer."""
    with recorded(tmp_path) as system:
        words = [read_script("accept"), str(len(KEYS) + 1), *KEYS, RECONCILE]
        *numbers, packed = accept_args(ONE)
        call = encode([b"EVAL", *(str(word).encode() for word in [*words, *numbers]), raw(packed)])
        with socket.create_connection(("127.0.0.1", int(system.recorder_port or 0))) as client:
            client.sendall(call)
        eventually(system.trace.exists, what="the call in the trace")
        assert validate(trace_of(system)) == Figures(calls=1, states=1)


def test_call_that_never_ran_is_explained(tmp_path: Path) -> None:
    with recorded(tmp_path) as system, connect(system.redis_url, timeout_s=0.2) as client:
        inbox = Inbox(client)
        assert client.ping()  # so that a connection is there
        assert system.valkey is not None
        system.valkey.send_signal(signal.SIGSTOP)
        with pytest.raises(ReceiverError):
            inbox.accept(ONE)
        system.kill_valkey()
        system.start_valkey()
        eventually(lambda: _accepts(inbox), what="Redis' return")
        assert validate(trace_of(system)) == Figures(calls=1, lost=1, states=2)


def _accepts(inbox: Inbox) -> bool:
    with suppress(ReceiverError):
        return bool(inbox.accept(ONE))
    return False


def test_call_that_ran_unheard_is_explained_and_one_too_many_is_not(tmp_path: Path) -> None:
    with recorded(tmp_path) as system:
        with connect(system.redis_url) as client:
            Inbox(client).accept(ONE)
        trace = trace_of(system)
    call, state = lines_of(trace)
    now_ms = int(str(call.pop("now_ms")))
    rewrite(trace, [call | {"lost": [now_ms - 3, now_ms + 3]}, state])
    assert validate(trace) == Figures(lost=1, states=1)
    rewrite(trace, [call | {"lost": [now_ms - 3, now_ms + 3]}])
    with pytest.raises(RefusedError, match="does not end with all of Redis"):
        validate(trace)
    rewrite(trace, [state])
    with pytest.raises(RefusedError, match="gbr:entry:batches/a: the model has nothing"):
        validate(trace)


def test_refusal_tells_the_step_and_both_states(tmp_path: Path) -> None:
    with recorded(tmp_path, "a stored batch is kept for ever") as system:
        with connect(system.redis_url) as client:
            Round(client).go()
        trace = trace_of(system)
    argv = [sys.executable, "-m", "tests.model.trace", str(trace)]
    with (tmp_path / "said").open("wb") as file:
        assert start(argv, env=dict(os.environ), stdout=file).wait(60) == 1
    said = (tmp_path / "said").read_text()
    assert "'script': 'finish'" in said
    assert "the model:\n  gbr:entry:batches/stored: " in said
    assert "Redis:\n  gbr:entry:batches/stored: " in said


def test_others_go_on_while_one_waits(tmp_path: Path) -> None:
    """Blocking calls and messages pass, and a script fails as it does without a recorder."""
    heard: list[object] = []
    with recorded(tmp_path) as system, redis.Redis.from_url(system.redis_url) as client:
        waiting = threading.Thread(target=lambda: heard.append(client.blpop(["list"], 10)))
        waiting.start()
        with connect(system.redis_url) as other, other.pubsub() as channel:
            channel.subscribe("news")
            assert Inbox(other).accept(ONE) == [True]
            other.publish("news", "hello")
            messages = iter(lambda: channel.get_message(timeout=5), None)
            assert any(message["data"] == b"hello" for message in messages)
            other.rpush("list", "x")
            other.set("gbr:due", "x")
            with pytest.raises(ReceiverError, match="WRONGTYPE"):
                Inbox(other).accept([Arrival("batches/b", "batch.succeeded", "static")])
        waiting.join(10)
        with pytest.raises(RefusedError, match="accept failed: WRONGTYPE"):
            validate(trace_of(system))
    assert heard == [(b"list", b"x")]


def test_recorder_outlives_its_valkey(tmp_path: Path) -> None:
    with recorded(tmp_path) as system, redis.Redis.from_url(system.redis_url) as client:
        system.kill_valkey()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        system.valkey = start_valkey(tmp_path / "valkey", system.redis_port)
        assert client.ping()
