"""Redis as the product sees it: a real Valkey, over connections on which anything may happen.

All of them share one real connection to it. What a command does is one effect; a pipeline is one
too, since its commands arrive together.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import redis
import redis.asyncio.connection
import redis.connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from receiver.inbox import redis as inbox_redis
from tests.simulation.effects import Effects
from tests.simulation.scheduler import scheduler
from tests.stepped_clock import CLOCK, EXPIRE, by_clock

EXPIRED_EVERY_NS = 500_000_000
ERRORS = {
    "refused": lambda: RedisConnectionError("simulated: Connection refused."),
    "lost": lambda: RedisTimeoutError("simulated: Timeout reading from socket"),
}
RealConnection: Any = redis.connection.UnixDomainSocketConnection
RealAsyncConnection: Any = redis.asyncio.connection.UnixDomainSocketConnection


class Wire:
    """The one real connection, and the clock of Redis."""

    def __init__(self, path: Path) -> None:
        self._real = RealConnection(path=str(path), socket_timeout=20)
        self._real.connect()
        folder = Path(inbox_redis.__file__).parent / "lua"
        names = [one.stem for one in folder.glob("*.lua") if one.stem != "prelude"]
        self._names = {_sha_of(inbox_redis.read_script(name)): name for name in names}
        self._stepped = {
            sha: self.load(CLOCK + inbox_redis.read_script(name))
            for sha, name in self._names.items()
        }
        self._expire = self.load(EXPIRE)
        self.effects: Effects | None = None
        self._expired_ns = 0
        self.on_push: Callable[[], None] = lambda: None  # a job is in the queue

    def load(self, script: str) -> str:
        """Gives what it is run by."""
        sha: bytes = self.ask("SCRIPT LOAD", script)
        return sha.decode()

    def edit(self, name: str, old: str, new: str) -> None:
        """Plant a fault in a script."""
        text = inbox_redis.read_script(name)
        if text.count(old) != 1:
            raise AssertionError(f"{name}.lua does not say {old!r} once: plant this elsewhere")
        self._stepped[_sha_of(text)] = self.load(CLOCK + text.replace(old, new))

    def ask(self, *args: Any) -> Any:
        """What a command answers, outside of the simulation."""
        return self.exchange([args])[0]

    def begin(self, effects: Effects) -> None:
        """An empty Redis for a new seed."""
        self.effects = effects
        self.wipe()

    def wipe(self) -> None:
        self.ask("FLUSHALL")

    def _expiry(self) -> list[Sequence[Any]]:
        """What ends keys by the scheduler's clock, once in a while."""
        now_ns = scheduler().now_ns
        if abs(now_ns - self._expired_ns) < EXPIRED_EVERY_NS:
            return []
        self._expired_ns = now_ns
        return [("EVALSHA", self._expire, 0, now_ns // 1_000_000)]

    def translate(self, args: Sequence[Any]) -> Sequence[Any]:
        """A command as Valkey gets it: by the scheduler's clock."""
        now_ms = scheduler().now_ns // 1_000_000
        if args[0] == "EVALSHA" and args[1] in self._stepped:
            return ("EVALSHA", self._stepped[args[1]], *args[2:], now_ms)
        return by_clock(args, now_ms)

    def describe(self, args: Sequence[Any]) -> str:
        """A command in a few words."""
        if args[0] == "EVALSHA":
            count = int(args[2])
            values = [str(one)[:40] for one in args[3 + count : 6 + count]]
            return f"{self._names.get(args[1], 'script')} {' '.join(values)}"
        return " ".join(_shorten(one) for one in args[:2])

    def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands, and give what each answers: an error is given, too."""
        self._real.send_packed_command(self._real.pack_commands(commands))
        answers = []
        for _ in commands:
            try:
                answers.append(self._real.read_response())
            except redis.ResponseError as error:
                answers.append(error)
        return answers

    def run(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The same as an effect of the simulation."""
        assert self.effects is not None
        label = " + ".join(self.describe(one) for one in commands)

        def perform() -> list[Any]:
            if commands[0][0] == "TIME":
                return [[b"%d" % one for one in divmod(scheduler().now_ns // 1000, 1_000_000)]]
            expiry = self._expiry()
            answers = self.exchange([*expiry, *(self.translate(one) for one in commands)])
            if any(str(args[0]) in ("RPUSH", "LPUSH") for args in commands):
                self.on_push()
            return answers[len(expiry) :]

        return self.effects.run("redis", label, perform, ERRORS)


def _sha_of(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _shorten(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text[:40]


class _Holder:
    wire: Wire


_holder = _Holder()


class _Commands(list[Sequence[Any]]):
    """Commands in place of their packed bytes."""


class _Exchange:
    """What was sent over one connection, and the answers that were not read yet."""

    def __init__(self) -> None:
        self.sent: list[Sequence[Any]] = []
        self.answers: list[Any] = []

    def drop(self) -> None:
        self.sent, self.answers = [], []

    def run(self) -> None:
        if self.sent:
            commands, self.sent = self.sent, []
            self.answers = _holder.wire.run(commands)

    def take(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, redis.ResponseError):
            raise answer
        return answer


class Connection(RealConnection):  # type: ignore[misc]
    """In place of the connection over a Unix socket."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._exchange = _Exchange()

    @property
    def is_connected(self) -> bool:
        return True

    def connect(self) -> None:
        """Nothing to do: there is the one real connection."""

    def disconnect(self, *_: object, **__: object) -> None:
        self._exchange.drop()

    def can_read(self, timeout: float = 0) -> bool:  # noqa: ARG002 - the signature of the real one
        return False

    def pack_command(self, *args: Any) -> Any:
        return _Commands([args])

    def pack_commands(self, commands: Iterable[Sequence[Any]]) -> Any:
        return _Commands(commands)

    def send_command(self, *args: Any, **_: object) -> None:
        self._exchange.sent.append(args)

    def send_packed_command(self, command: Any, *_: object, **__: object) -> None:
        self._exchange.sent += command

    def read_response(self, *_: object, **__: object) -> Any:
        self._exchange.run()
        return self._exchange.take()


class AsyncConnection(RealAsyncConnection):  # type: ignore[misc]
    """The same for an event loop: while the call is on its way, the loop goes on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._exchange = _Exchange()

    @property
    def is_connected(self) -> bool:
        return True

    async def connect(self) -> None:
        """Nothing to do."""

    async def disconnect(self, *_: object, **__: object) -> None:
        self._exchange.drop()

    async def can_read(self) -> bool:
        return False

    async def can_read_destructive(self) -> bool:
        return False

    def pack_command(self, *args: Any) -> Any:
        return _Commands([args])

    def pack_commands(self, commands: Iterable[Sequence[Any]]) -> Any:
        return _Commands(commands)

    async def send_command(self, *args: Any, **_: object) -> None:
        self._exchange.sent.append(args)

    async def send_packed_command(self, command: Any, *_: object, **__: object) -> None:
        self._exchange.sent += command

    async def read_response(self, *_: object, **__: object) -> Any:
        if self._exchange.sent:
            await asyncio.sleep(0.003)
        self._exchange.run()
        return self._exchange.take()


def install(path: Path) -> Wire:
    """Let every client of a Unix socket use the wire."""
    _holder.wire = Wire(path)
    for module, kind in (
        (redis.connection, Connection),
        (redis.asyncio.connection, AsyncConnection),
    ):
        setattr(module, RealConnection.__name__, kind)
    return _holder.wire
