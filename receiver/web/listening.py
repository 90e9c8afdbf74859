"""The sockets that the web process listens on, with an error that says what to do otherwise."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from receiver.errors import ListenError


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """A bound socket per address of `host`, none listening yet. Raises ListenError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"{host!r} is no address or name that this machine knows: set HOST or --host"
        ) from error
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in _bound(dict.fromkeys(found), host, port)]
        stack.pop_all()
    return sockets


def _bound(found: dict[tuple[object, ...], None], host: str, port: int) -> Iterator[socket.socket]:
    for family, kind, protocol, _, address in found:
        try:
            one = socket.socket(family, kind, protocol)  # type: ignore[arg-type]
        except OSError:
            continue  # this machine has no such address family
        try:
            if sys.platform != "win32":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)  # type: ignore[arg-type]
        except OSError as error:
            one.close()
            raise ListenError(_explain(error, host, port)) from error
        yield one


def _explain(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} of {host} is taken by another program, maybe by another `serve`: end"
                " that one, or choose another port with PORT or --port"
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"this user may not listen on port {port}: choose one from 1024 on with PORT or"
                " --port"
            )
        case errno.EADDRNOTAVAIL:
            return (
                f"{host} is no address of this machine: set HOST or --host; 0.0.0.0 listens on all"
                " of them"
            )
        case _:
            return f"can't listen on port {port} of {host}: {error.strerror}; set HOST and PORT"
