"""Memory that a worker shares with its child process: the lease, a heartbeat and the stop flags.

Through the lease, the worker can give the batch back with the cause when the child is killed, long
before the lease runs out. Through the heartbeat, it tells a child whose threads all hang from one
whose job takes long. The flags tell the child to stop: the thread that renews the lease sees them
even while the job's own thread sits in a long call where Python runs no signal handler.

There is no lock: a signal handler that took one could wait for the very code that it interrupted.
"""

import mmap
import struct

import msgspec

from receiver.inbox.ledger import Lease

PAGE_BYTES = 4096
SHUTDOWN, TIMEOUT = 0, 1
_BEATS = struct.Struct("Q")

# Anonymous and shared: a fork sees the same bytes.
_lease = mmap.mmap(-1, PAGE_BYTES)
_heartbeat = mmap.mmap(-1, _BEATS.size)
_stop_flags = mmap.mmap(-1, 2)


def remember_lease(lease: Lease) -> None:
    """Write down what a crash is recorded with; without the metadata, which may be long."""
    note = msgspec.json.encode((lease.batch, lease.token, lease.attempts, lease.waits))
    _lease[: len(note) + 1] = note + b"\0"


def find_lease() -> Lease | None:
    """The lease that the child holds or held; None without one, or when only a part was written."""
    note = _lease[:].partition(b"\0")[0]
    try:
        batch, token, attempts, waits = msgspec.json.decode(note, type=tuple[str, str, int, int])
    except msgspec.MsgspecError:
        return None
    return Lease(batch, token, attempts, waits, {})


def forget_lease() -> None:
    """Call before a fork, and once the batch is handed back."""
    _lease[:1] = b"\0"
    _BEATS.pack_into(_heartbeat, 0, 0)


def beat() -> None:
    """Call regularly while a lease is held, from a thread that any hanging thread would block."""
    _BEATS.pack_into(_heartbeat, 0, count_beats() + 1)


def count_beats() -> int:
    """How often the holder of the lease called `beat`; 0 where none is held."""
    count: int = _BEATS.unpack_from(_heartbeat)[0]
    return count


def request_shutdown() -> None:
    """The process has to end: the batch is to be handed back."""
    _stop_flags[SHUTDOWN] = 1


def request_timeout() -> None:
    """The job ran for too long: the batch is to be postponed."""
    _stop_flags[TIMEOUT] = 1


def clear_stop_flags() -> None:
    """Call before a fork: what the last child was told does not hold for the next one."""
    _stop_flags[:] = b"\0\0"


def is_shutting_down() -> bool:
    return bool(_stop_flags[SHUTDOWN])


def is_out_of_time() -> bool:
    return bool(_stop_flags[TIMEOUT])
