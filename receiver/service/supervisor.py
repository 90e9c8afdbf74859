"""Runs the programs of one machine together; a signal ends them in the opposite order."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from receiver.service.program import Keeper, Program

STOP_ALL_S = 12.0  # then whatever still runs is killed: the page asks for units that give 15
SECOND_SIGNAL_AFTER_S = 1.0  # a process group and its leader may both pass one signal on to us
log = logging.getLogger(__name__)


async def supervise(
    layers: Sequence[Sequence[Program]],
    lock: int,
    pass_on: Callable[[str, str], None],
    beside: Coroutine[Any, Any, None],
) -> None:
    """Run the programs until a signal; the last layer stops first.

    `lock` is a descriptor that each of them inherits, `pass_on` takes the name of one and a line
    that it wrote, and `beside` runs meanwhile. Raises ServiceError when a program can't be kept
    running, with all of them stopped.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    _listen(stop, hurry)
    keepers = [[Keeper(program, lock, hurry, pass_on) for program in layer] for layer in layers]
    tasks = [[asyncio.create_task(keeper.keep()) for keeper in layer] for layer in keepers]
    everyone = [task for layer in tasks for task in layer]
    meanwhile, stopped = asyncio.create_task(beside), asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, *everyone}, return_when=asyncio.FIRST_COMPLETED)
    log.info("service.stopping")
    asyncio.get_running_loop().call_later(STOP_ALL_S, hurry.set)
    await _cancel([meanwhile, stopped])
    for layer in reversed(tasks):
        await _cancel(layer)
    log.info("service.stopped")
    for task in everyone:
        if not task.cancelled():
            task.result()


async def _cancel(tasks: "Sequence[asyncio.Task[Any]]") -> None:
    """Together, and to the end of what they do about it."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _listen(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """The first signal ends everything in order, a later one at once."""
    asked_at: float | None = None

    def take() -> None:
        nonlocal asked_at
        now = time.monotonic()
        if asked_at is None:
            asked_at = now
            stop.set()
        elif now - asked_at >= SECOND_SIGNAL_AFTER_S:
            hurry.set()

    loop = asyncio.get_running_loop()
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if which is not signal.SIGHUP or signal.getsignal(which) is not signal.SIG_IGN:  # nohup
            loop.add_signal_handler(which, take)
