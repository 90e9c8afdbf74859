"""What every line within a piece of work says beside its own: batch and attempt, or the delivery's webhook-id."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import MappingProxyType

_fields: ContextVar[Mapping[str, str | int]] = ContextVar(
    "log_fields", default=MappingProxyType({})
)


def current_fields() -> Mapping[str, str | int]:
    """By name; empty outside of any such work."""
    return _fields.get()


@contextmanager
def log_fields(**fields: str | int) -> Iterator[None]:
    """Every line of the `with` carries these too, whoever logs it."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


class FollowingThread(threading.Thread):
    """A thread that does its starter's work: its lines carry what those of its starter carry, and are of one trace."""

    def start(self) -> None:
        self._starter = copy_context()
        super().start()

    def run(self) -> None:
        for variable, value in self._starter.items():
            variable.set(value)
        super().run()
