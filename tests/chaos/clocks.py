"""Clocks that are off."""

import os
import time

import redis

from deploy.sandbox.processes import start, stop
from deploy.sandbox.valkey import wait_for_ping
from tests.chaos.system import System, other_clock

HOUR_S = 3600


def restart_valkey_at(system: System, offset: str) -> None:
    """Stop Valkey and start it with its clock ahead by so much, such as `+25h`; its append-only file stays."""
    assert system.valkey is not None
    argv = (
        [str(word) for word in system.valkey.args] if isinstance(system.valkey.args, list) else []
    )
    stop(system.valkey)
    with (system.folder / "valkey" / "valkey.log").open("ab") as log:
        system.valkey = start(argv, env={**os.environ, **other_clock(offset)}, stdout=log)
    wait_for_ping(system.valkey, system.redis_port)
    with redis.Redis.from_url(system.redis_url) as client:
        ahead_s = int(client.time()[0]) - time.time()
    if ahead_s < HOUR_S / 2:
        raise RuntimeError("faketime does not reach Valkey's clock")
