"""The sha256 of a source, which a thread computes while the lines are worked on.

It gets large pieces: after each one it waits for the interpreter's lock, for which a block of the
network would be too little to do.
"""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

PIECE_BYTES = 512 * 1024


class SourceDigest:
    """Used from one thread, like a hash of `hashlib`."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pieces = [memoryview(bytearray(PIECE_BYTES)) for _ in range(2)]  # one is hashed
        self._filled = 0  # of the first one
        self._thread = ThreadPoolExecutor(1, "source-digest")
        self._hashing: Future[None] | None = None

    def update(self, data: bytes) -> None:
        """Add bytes, which are copied."""
        view = memoryview(data)
        while len(view) > PIECE_BYTES - self._filled:
            room = PIECE_BYTES - self._filled
            self._fill(view[:room])
            self._hash_piece()
            view = view[room:]
        self._fill(view)

    def _fill(self, view: memoryview) -> None:
        end = self._filled + len(view)
        self._pieces[0][self._filled : end] = view
        self._filled = end

    def _hash_piece(self) -> None:
        """Have the full piece hashed, and fill the other one."""
        self._wait()
        self._hashing = self._thread.submit(self._digest.update, self._pieces[0])
        self._pieces.reverse()
        self._filled = 0

    def _wait(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def copy(self) -> "hashlib._Hash":
        """A hash of all bytes so far."""
        self._wait()
        digest = self._digest.copy()
        digest.update(self._pieces[0][: self._filled])
        return digest

    def hexdigest(self) -> str:
        """Of all bytes so far."""
        return self.copy().hexdigest()
