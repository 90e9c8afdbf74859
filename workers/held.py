"""Which lease a work-horse holds, in memory that it shares with its parent.

So the parent can give the batch back with its cause when the work-horse is killed, long before the lease runs out.
"""

import mmap

import msgspec

from receiver.inbox.ledger import Lease

PAGE_BYTES = 4096
_page = mmap.mmap(-1, PAGE_BYTES)  # anonymous and shared: a fork sees the same bytes


def forget_lease() -> None:
    """Call before a fork and once the batch is handed back."""
    _page[:1] = b"\0"


def remember_lease(lease: Lease) -> None:
    """Leave a note of the lease; its metadata stays out, they may be long."""
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
