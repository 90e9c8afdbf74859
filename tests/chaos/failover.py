"""Redis fails over behind one address, and nobody closes the connections to the server that is a replica now."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import redis

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from tests.chaos.batches import add_batches, ledger, wait_for_stored
from tests.chaos.checker import Watcher, judge
from tests.chaos.report import Options, Report
from tests.chaos.system import running_system
from tests.fault_proxy import serving
from tests.waiting import eventually

RESUMED_S = 15.0
BLOCK_BYTES = 64 * 1024


@dataclass
class Address:
    """What a managed Redis gives its users: new connections go to the primary, those that are open stay."""

    port: int
    primary_port: int

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.primary_port)
        await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(BLOCK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


def failover(options: Options) -> Report:
    """The replica becomes the primary, the primary its replica, while batches arrive."""
    report = Report("failover", options.seed)
    events = options.size(100, 20)
    why = "two servers in turn have no one order"
    with (
        running_system(options.folder, options.seed, unrecorded=why) as system,
        Watcher(system.outputs) as watcher,
    ):
        address = Address(allocate_port(), system.redis_port)
        other_folder, other_port = options.folder / "other", allocate_port()
        other_folder.mkdir()
        other = start_valkey(other_folder, other_port)
        with serving(address.handle, address.port), redis.Redis(port=system.redis_port) as first:
            assert system.web is not None
            stop(system.web)
            system.settings["REDIS_URL"] = f"redis://127.0.0.1:{address.port}/0"
            system.start_web()
            for _ in range(2):
                system.start_worker()
            with redis.Redis(port=other_port) as second:
                second.replicaof("127.0.0.1", str(system.redis_port))
                wait_for_stored(system, add_batches(system, range(events)), 60)
                eventually(lambda: first.wait(1, 1000) == 1, 30, "the replica")
                second.replicaof("NO", "ONE")
            address.primary_port = other_port
            first.replicaof("127.0.0.1", str(other_port))
            begun = time.monotonic()
            wait_for_stored(system, add_batches(system, range(events, 2 * events)), 120)
            seconds = time.monotonic() - begun
            report.hold("no worker ended", not system.replace_ended_workers())
            report.note(
                events=2 * events,
                all_stored_after=f"{seconds:.1f} s",
                told=len(ledger(system)["deliveries"]),
            )
            report.hold_time(
                f"all is stored within {RESUMED_S:.0f} s", seconds <= RESUMED_S + events * 0.2
            )
            report.judge(judge(system, watcher))
            system.stop_all()
        stop(other)
    return report
