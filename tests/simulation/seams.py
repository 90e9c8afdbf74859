"""Puts the simulated parts where the real ones are: call `install` before the product is imported.

No function of the product is replaced but two that choose what lies beyond it: `open_storage`, and
`post`, which sends a notice (see `World`). Below that it is the standard library's clock, locks and
threads, httpx's transports, and redis-py's connection over a Unix socket.
"""

import functools
import importlib
from pathlib import Path
from typing import Any

from tests.simulation import primitives


def install(socket: Path) -> Any:
    """Gives the wire to the Valkey that listens at this socket."""
    primitives.install()
    storage = importlib.import_module("receiver.storage")
    simulated = importlib.import_module("tests.simulation.storage")
    storage.open_storage = simulated.open_simulated  # type: ignore[attr-defined]

    scripts = importlib.import_module("receiver.inbox.redis")
    scripts.read_script = functools.cache(scripts.read_script)  # type: ignore[attr-defined]
    importlib.import_module("tests.simulation.http_wire").install()
    return importlib.import_module("tests.simulation.redis_wire").install(socket)
