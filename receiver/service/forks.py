"""Several processes that serve one port, forked from one that keeps them running.

They share its listening sockets and the memory of what it has imported. uvicorn has a supervisor
too, but it imports all again in each process, looks for signals only twice per second, and leaves
its processes on the port when it is killed.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkProcess

from uvicorn.config import STARTUP_FAILURE

from receiver.service.program import explain_end

WATCHED = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
RESTART_PAUSE_S = 0.5
STOP_S = 8.0  # a process promises five
log = logging.getLogger(__name__)


class Forks:
    """`count` processes that each run `serve`, which a signal ends."""

    def __init__(
        self, count: int, serve: Callable[[], None], sockets: Sequence[socket.socket]
    ) -> None:
        """`sockets` are what they listen on. No thread may run yet: none survives a fork."""
        self._count, self._serve, self._sockets = count, serve, sockets
        self._reading, self._writing = os.pipe()  # nobody writes: its end tells of ours

    def run(self) -> None:
        """Until SIGTERM or SIGINT, which then ends this process too; who ends before is replaced.

        Raises SystemExit when one can't start, with the others stopped.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)  # they wait for `sigwait`
        children = [self._start() for _ in range(self._count)]
        while (sent := signal.sigwait(WATCHED)) == signal.SIGCHLD:
            for place, child in enumerate(children):
                if child.exitcode is not None:
                    self._explain(child, children)
                    time.sleep(RESTART_PAUSE_S)
                    children[place] = self._start()
        self._stop(children)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        signal.raise_signal(sent)

    def _start(self) -> ForkProcess:
        child = multiprocessing.get_context("fork").Process(target=self._run_child)
        child.start()
        return child

    def _run_child(self) -> None:
        os.close(self._writing)
        threading.Thread(target=self._end_with_parent, name="parent", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        self._serve()

    def _end_with_parent(self) -> None:
        os.read(self._reading, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _explain(self, ended: ForkProcess, children: Sequence[ForkProcess]) -> None:
        code = ended.exitcode or 0
        log.warning("server.ended", extra={"pid": ended.pid, "cause": explain_end(code)})
        if code == STARTUP_FAILURE:  # so would the next one
            self._stop(children)
            sys.exit(code)

    def _stop(self, children: Sequence[ForkProcess]) -> None:
        for one in self._sockets:  # else connections would wait in vain behind those that stop
            one.close()
        for child in children:
            child.terminate()
        deadline = time.monotonic() + STOP_S
        for child in children:
            child.join(max(0.0, deadline - time.monotonic()))
            if child.exitcode is None:
                log.warning("server.killed", extra={"pid": child.pid})
                child.kill()
