"""Web processes that are stopped with and without a request in flight, and what its sender is told."""

import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.chaos.posts import post, sign_delivery
from tests.chaos.stop_ways import Stopped, Way, stop_as
from tests.chaos.system import Process, System
from tests.procfile import procfile_argv, with_path
from tests.running import answers
from tests.waiting import eventually

MOMENTS = ("idle", "request in flight", "slow body", "Redis silent")
REDIS_RETURNS_S = 1.0
ANSWER_S = 5


@dataclass(frozen=True)
class WebStop:
    stopped: Stopped
    status: int  # what the sender in flight was told; 0 for nothing
    resumed_s: (
        float  # from the end until the delivery got a 2xx of the next process, whose start is in it
    )
    kept: bool  # the batch is in the inbox, and was before where the first answer was a 2xx


def start_web(system: System) -> Process:
    web = system.start_program("web", procfile_argv("web"), with_path(system.environment))
    eventually(lambda: answers(f"{system.web_url}/health"), 30, "the web process's start")
    return web


def is_read(connection: socket.socket) -> bool:
    """Whether the other process has read all that was sent: by Linux' own table, as it sees the connection."""
    ours, theirs = connection.getsockname()[1], connection.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (int(local[-4:], 16), int(remote[-4:], 16)) == (theirs, ours):
            return queues.partition(":")[2] == "00000000"
    return False


def begin_delivery(system: System, batch: str, delivery_id: str, *, whole: bool) -> socket.socket:
    """Send a delivery, or the half of one; returns once it is read."""
    headers, body = sign_delivery(system, batch, delivery_id, "batch.succeeded")
    lines = [f"POST /webhooks/gemini HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "\r\n"]).encode()
    connection = socket.create_connection(("127.0.0.1", system.web_port), timeout=ANSWER_S)
    connection.sendall(head + (body if whole else body[:20]))
    eventually(lambda: is_read(connection), 5, "the reading of the delivery")
    return connection


def read_status(connection: socket.socket) -> int:
    """Of the answer; 0 when none came."""
    with connection, suppress(OSError):
        first = connection.recv(100)
        return int(first.split()[1]) if first else 0
    return 0


def is_in_inbox(system: System, batch: str) -> bool:
    with connect(system.redis_url) as client:
        return batch in Inbox(client).entries([batch])


def stop_web(system: System, moment: str, way: Way, grace_s: float, batch: str) -> WebStop:
    """Stop a web process at this moment, and deliver what was not acknowledged to the next one."""
    assert system.valkey is not None
    web, delivery_id, status = start_web(system), f"msg_{batch[8:]}", 0
    if moment == "idle":
        stopped = stop_as(web, way, grace_s)
    else:
        if moment != "slow body":
            system.valkey.send_signal(signal.SIGSTOP)
        if moment == "request in flight":
            threading.Timer(REDIS_RETURNS_S, system.valkey.send_signal, [signal.SIGCONT]).start()
        connection = begin_delivery(system, batch, delivery_id, whole=moment != "slow body")
        stopped = stop_as(web, way, grace_s)
        system.valkey.send_signal(signal.SIGCONT)
        status = read_status(connection)
    begun = time.monotonic()
    kept = is_in_inbox(system, batch) or not 200 <= status < 300
    following = start_web(system)
    again = post(system, batch, delivery_id)
    resumed_s = time.monotonic() - begun
    following.terminate()
    following.wait(15)
    return WebStop(
        stopped,
        status,
        resumed_s,
        kept and 200 <= again.status < 300 and is_in_inbox(system, batch),
    )
