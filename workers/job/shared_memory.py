"""Which lease a work-horse holds, and that it breathes, in memory that it shares with its parent.

So the parent can give the batch back with its cause when the work-horse is killed, long before the lease runs out; and
it can tell a work-horse that hangs, with all its threads, from one whose job takes long.
"""

import mmap
import struct

import msgspec

from receiver.inbox.ledger import Lease

PAGE_BYTES = 4096
_COUNT = struct.Struct("Q")
_page = mmap.mmap(-1, PAGE_BYTES)  # anonymous and shared: a fork sees the same bytes
_breath = mmap.mmap(-1, _COUNT.size)  # likewise


def forget_lease() -> None:
    """Call before a fork and once the batch is handed back."""
    _page[:1] = b"\0"
    _COUNT.pack_into(_breath, 0, 0)


def breathe() -> None:
    """Call again and again while a lease is held, from a thread that any other one could keep from running."""
    _COUNT.pack_into(_breath, 0, breaths() + 1)


def breaths() -> int:
    """How often the holder of the lease has breathed; 0 where none is held."""
    count: int = _COUNT.unpack_from(_breath)[0]
    return count


def remember_lease(lease: Lease) -> None:
    """Leave a note of what a crash is booked by; the metadata stays out, they may be long."""
    note = msgspec.json.encode((lease.batch, lease.token, lease.attempts, lease.waits))
    _page[: len(note) + 1] = note + b"\0"


def find_lease() -> Lease | None:
    """The lease that was held, or None; also where the note was not finished."""
    note = _page[:].partition(b"\0")[0]
    try:
        batch, token, attempts, waits = msgspec.json.decode(note, type=tuple[str, str, int, int])
    except msgspec.MsgspecError:
        return None
    return Lease(batch, token, attempts, waits, {})
