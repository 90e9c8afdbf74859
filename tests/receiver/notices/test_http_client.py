"""One try, against real servers on loopback; nothing here leaves the machine."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpcore
import pytest

from deploy.sandbox.processes import allocate_port
from receiver.errors import NoticeError
from receiver.http import trusted_certificates
from receiver.notices.acknowledgements import Acknowledged
from receiver.notices.guarded_network import PinnedBackend, resolve
from receiver.notices.http_client import post
from receiver.settings.notice_targets import Target, make_target
from tests.notice_receiver import Receiver
from tests.tls_proxy import make_certificates, running_tls_proxy


def send(target: Target, *, deadline_s: float = 5) -> Acknowledged:
    return post(
        target, b"{}", {"x-probe": "1"}, trusted_certificates(), private=True, deadline_s=deadline_s
    )


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_success_acknowledges(receiver: Receiver, target: Target, status: int) -> None:
    receiver.answer = lambda _: (status, {}, b"")
    assert send(target).status == status
    (received,) = receiver.received
    assert (received.path, received.body, received.headers["x-probe"]) == ("/notices", b"{}", "1")
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500, 503])
def test_anything_else_comes_again(receiver: Receiver, target: Target, status: int) -> None:
    receiver.answer = lambda _: (status, {"location": receiver.url, "retry-after": "120"}, b"")
    with pytest.raises(NoticeError, match=f"answered {status}") as told:
        send(target)
    assert (told.value.retryable, told.value.retry_after_s) == (True, 120)
    assert len(receiver.received) == 1  # a redirect is not followed


def test_gone_is_final(receiver: Receiver, target: Target) -> None:
    receiver.answer = lambda _: (410, {}, b"")
    with pytest.raises(NoticeError) as told:
        send(target)
    assert not told.value.retryable


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"no_service", "answered 404 no_service"),
        (b"Cannot POST /notices", "answered 404"),
        (b"notices", "answered 404"),  # it may be what makes the address a secret
        (b"x" * 100_000, "answered 404"),
    ],
)
def test_only_a_plain_word_is_repeated(
    receiver: Receiver, target: Target, body: bytes, said: str
) -> None:
    receiver.answer = lambda _: (404, {}, body)
    with pytest.raises(NoticeError) as told:
        send(target)
    assert str(told.value).endswith(said)


def test_refused_connection_is_said() -> None:
    with pytest.raises(NoticeError, match=r"127\.0\.0\.1 did not answer: ConnectError .*refused"):
        send(make_target("webhook", f"http://127.0.0.1:{allocate_port()}/secret"))


@contextmanager
def speaking(speak: Callable[[socket.socket], None]) -> Iterator[Target]:
    """A server that says whatever it likes, once connected."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    speak(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield make_target("webhook", f"http://127.0.0.1:{server.getsockname()[1]}/secret")
    thread.join(10)


def drip(head: bytes) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(2000):
            connection.sendall(b"x")
            time.sleep(0.01)

    return speak


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nx-long: ", b"HTTP/1.1 503 No\r\ncontent-length: 9999\r\n\r\n"]
)
def test_dripping_answer_is_cut_off(head: bytes) -> None:
    began = time.monotonic()
    with speaking(drip(head)) as target, pytest.raises(NoticeError):
        send(target, deadline_s=0.5)
    assert time.monotonic() - began < 10  # without a deadline it drips for 20


def stay_silent(connection: socket.socket) -> None:
    while connection.recv(1024):  # the rest of the request may come apart
        pass


def test_silence_is_cut_off() -> None:
    with (
        speaking(stay_silent) as target,
        pytest.raises(NoticeError, match="it took too long"),
    ):
        send(target, deadline_s=0.3)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\xff" * 200_000,
        b"HTTP/1.1 204 OK\r\n" + b"a: b\r\n" * 50_000,
    ],
)
def test_nonsense_is_an_error_of_ours(answer: bytes) -> None:
    with (
        speaking(lambda connection: connection.sendall(answer)) as target,
        pytest.raises(NoticeError) as told,
    ):
        send(target)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_own_addresses_are_refused(receiver: Receiver, host: str) -> None:
    target = make_target("webhook", f"https://{host}:{receiver.port}/notices")
    with pytest.raises(NoticeError, match="the address is not public"):
        post(target, b"{}", {}, trusted_certificates(), private=False)
    assert receiver.received == []


def test_unknown_name_is_said() -> None:
    with pytest.raises(NoticeError, match=r"no-such-host\.invalid could not be resolved"):
        resolve("no-such-host.invalid", 443, is_https=True, private=False)


def test_name_is_resolved_no_second_time(receiver: Receiver) -> None:
    """Whatever the name says by now: the connection goes to the address that was judged."""
    backend = PinnedBackend(["127.0.0.1"], time.monotonic() + 5)
    with httpcore.ConnectionPool(network_backend=backend) as pool:
        answer = pool.request(
            "POST", f"http://rebound.invalid:{receiver.port}/notices", content=b"{}"
        )
    assert answer.status == 204
    assert receiver.received[0].headers["host"] == f"rebound.invalid:{receiver.port}"


def test_next_address_is_tried(receiver: Receiver) -> None:
    backend = PinnedBackend(["::1", "127.0.0.1"], time.monotonic() + 5)
    with httpcore.ConnectionPool(network_backend=backend) as pool:
        assert pool.request("POST", receiver.url, content=b"{}").status == 204


def test_certificates_are_checked(receiver: Receiver, tmp_path: Path) -> None:
    """Also against the name, where the address was judged before."""
    certificates = make_certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificates.ca_file))
    with running_tls_proxy(receiver.port, certificates.server_file) as port:
        right, other = (
            make_target("webhook", f"https://{host}:{port}/notices")
            for host in ("127.0.0.1", "localhost")
        )
        assert post(right, b"{}", {}, trusting, private=True).status == 204
        with pytest.raises(NoticeError, match=r"self-signed|unable to get local issuer"):
            send(right)
        with pytest.raises(NoticeError, match="not valid for 'localhost'"):
            post(other, b"{}", {}, trusting, private=True)
    assert len(receiver.received) == 1
