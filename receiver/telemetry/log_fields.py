"""Fields of all log lines of one piece of work: its batch and attempt, or its webhook-id."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import MappingProxyType

_fields: ContextVar[Mapping[str, str | int]] = ContextVar(
    "log_fields", default=MappingProxyType({})
)


def current_fields() -> Mapping[str, str | int]:
    """By name; empty outside of `log_fields`."""
    return _fields.get()


@contextmanager
def log_fields(**fields: str | int) -> Iterator[None]:
    """Add these fields to every line that is logged within the `with`."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


class ContextThread(threading.Thread):
    """A thread with the context of its starter: its lines have the same fields and trace."""

    def start(self) -> None:
        self._starter = copy_context()
        super().start()

    def run(self) -> None:
        for variable, value in self._starter.items():
            variable.set(value)
        super().run()
