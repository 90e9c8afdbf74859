"""Why there is no socket to listen on, in words; and one where there is."""

import socket
from contextlib import closing

import pytest
from click.testing import CliRunner

from deploy.sandbox.processes import allocate_port
from receiver.cli import main
from receiver.errors import ListenError
from receiver.web.listening import open_sockets


def test_free_port_is_taken_once() -> None:
    port = allocate_port()
    sockets = open_sockets("127.0.0.1", port)
    try:
        assert [one.getsockname() for one in sockets] == [("127.0.0.1", port)]
        sockets[0].listen()
        with pytest.raises(
            ListenError, match=f"port {port} of 127.0.0.1 is taken by another program"
        ):
            open_sockets("127.0.0.1", port)
    finally:
        sockets[0].close()
    for one in open_sockets("127.0.0.1", port):
        one.close()


def test_taken_port_is_one_line_of_words() -> None:
    """It was a line of JSON and exit code 3."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        environ = {"GEMINI_API_KEY": "k", "REDIS_URL": "redis://127.0.0.1:9/0", "PORT": str(port)}
        done = CliRunner().invoke(main, ["serve"], env=environ)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: port {port} of 127.0.0.1 is taken by another program")
    assert "PORT or --port" in done.output
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("192.0.2.1", "is no address of this machine"),
        ("nosuch.invalid", "is no address or name that this machine knows"),
        ("a b", "is no address or name that this machine knows"),
        ("x" * 70, "is no address or name that this machine knows"),
    ],
)
def test_wrong_host_is_said(host: str, words: str) -> None:
    with pytest.raises(ListenError, match=words):
        open_sockets(host, allocate_port())
