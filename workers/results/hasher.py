"""A process that hashes the lines of blocks in shared memory, for `workers.results.hashed_lines`.

It starts in 30 ms, since it imports next to nothing. It keeps nothing, and ends when the process
that it works for does.
"""

import os
import signal
import struct
from hashlib import sha256
from mmap import ACCESS_READ, mmap

from workers.results.utf8 import is_utf8

MAX_LINES = 16 * 1024  # of a block: more are blank lines, or too short to be worth it
REQUEST = struct.Struct("=II")  # where a block of whole lines begins and ends in the memory
REPLY = struct.Struct("=I?")  # how many digests follow, and whether the block is UTF-8
DIGEST_BYTES = 32


def hash_lines(block: bytes) -> bytes:
    """The sha256 of every line without its newline, one after the other; empty for too many lines.

    The last line has a newline, too.
    """
    view, find, start = memoryview(block), block.find, 0
    digests: list[bytes] = []
    for _ in range(MAX_LINES + 1):
        end = find(b"\n", start)
        if end < 0:
            return b"".join(digests)
        digests.append(sha256(view[start:end]).digest())
        start = end + 1
    return b""


def describe(block: bytes) -> bytes:
    """The reply to a block."""
    digests = hash_lines(block)
    return REPLY.pack(len(digests) // DIGEST_BYTES, is_utf8(block)) + digests


def serve(memory: int, requests: int, replies: int) -> None:
    """Answer until the requests end; all three are file descriptors."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    with mmap(memory, 0, access=ACCESS_READ) as blocks, os.fdopen(replies, "wb") as answers:
        while request := os.read(requests, REQUEST.size):
            start, end = REQUEST.unpack(request)
            answers.write(describe(blocks[start:end]))
            answers.flush()
