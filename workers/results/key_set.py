"""The keys of a batch, told apart exactly, in memory that does not grow with their number.

The latest keys are in memory, older ones in a scratch file, in shares by their hash. A filter of
one bit for each hash proves of nearly every new key that it is not in the file; for the others the
share of the key is read.
"""

import errno
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

RECENT_KEYS = 16 * 1024
SHARES = 1024
# The file holds the first block of every share, then the second ones, and so on. So it is written
# and freed in one piece: a thousand pieces far apart would take the disk up to a second.
BLOCK_BYTES = 4 * 1024
FILTER_BITS = 25  # of a hash: 4 MiB, and two of a hundred new keys are looked up among a million
KEPT_CHARACTERS = 31
_DIGEST_BYTES = 16  # two of a million keys share 128 bits once in 10^26 cases
_END = "\xff"  # no token holds it
_FILTER_MASK = (1 << FILTER_BITS) - 1
_SHARE_MASK = SHARES - 1  # of the bits above the filter's


def key_token(key: str) -> str:
    """What stands for a key: itself where that is short, else a digest, which is longer."""
    return key if len(key) <= KEPT_CHARACTERS and key.isascii() else digest_key(key)


def digest_key(key: str) -> str:
    """A token of 32 characters."""
    data = key.encode(errors="surrogatepass")
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def _spans(number: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where in the file these bytes of a share are: position and size of every piece."""
    while start < end:
        block, within = divmod(start, BLOCK_BYTES)
        size = min(BLOCK_BYTES - within, end - start)
        yield (block * SHARES + number) * BLOCK_BYTES + within, size
        start += size


class KeyList:
    """Takes tokens of keys, in no order; `read_shares` gives them back, each once."""

    def __init__(self, scratch: Path) -> None:
        """A file in the folder `scratch` takes what is too much for memory."""
        self._scratch = scratch
        self.recent: set[str] = set()  # the tokens that are in memory
        self._file: int | None = None
        self._sizes = array("q")  # of the shares, in bytes

    @property
    def has_file(self) -> bool:
        """Whether some tokens are no longer in memory."""
        return self._file is not None

    def append(self, token: str) -> None:
        """Add a token. Raises OSError where the scratch disk fails."""
        self.recent.add(token)
        if len(self.recent) >= RECENT_KEYS:
            self.spill()

    def spill(self) -> None:
        """Move all tokens that are in memory to the file. Raises OSError."""
        if self._file is None:
            self._file, _ = tempfile.mkstemp(prefix="keys-", dir=self._scratch)
            weakref.finalize(self, os.close, self._file)
            self._sizes = array("q", bytes(SHARES * self._sizes.itemsize))
        shares: list[list[str]] = [[] for _ in range(SHARES)]
        for token in self.recent:
            shares[hash(token) >> FILTER_BITS & _SHARE_MASK].append(token)
        for number, tokens in enumerate(shares):
            if tokens:
                self._write(self._file, number, tokens)
        self.recent.clear()

    def _write(self, file: int, number: int, tokens: list[str]) -> None:
        data = (_END.join(tokens) + _END).encode("latin-1")
        start = self._sizes[number]
        end = start + len(data)
        for position, size in _spans(number, start, end):
            if os.pwrite(file, data[:size], position) < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[size:]
        self._sizes[number] = end

    def _read(self, number: int) -> bytes:
        file = self._file
        if file is None:
            return b""
        spans = _spans(number, 0, self._sizes[number])
        return b"".join([os.pread(file, size, position) for position, size in spans])

    def read_share(self, number: int) -> set[str]:
        """The tokens of a share, once all are in the file."""
        return set(self._read(number).decode("latin-1").split(_END)[:-1])


class KeySet(KeyList):
    """Says of every token whether it was there before."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        self._filter = bytearray()

    def add(self, token: str) -> bool:
        """Add a token. Returns whether it is new. Raises OSError where the scratch disk fails."""
        recent = self.recent
        if token in recent or (self._file is not None and self._is_older(token)):
            return False
        recent.add(token)
        if len(recent) >= RECENT_KEYS:
            self.spill()
        return True

    def __contains__(self, token: str) -> bool:
        return token in self.recent or (self._file is not None and self._is_older(token))

    def _is_older(self, token: str) -> bool:
        """Whether it is in the file."""
        number = hash(token)
        bit = number & _FILTER_MASK
        if not self._filter[bit >> 3] >> (bit & 7) & 1:
            return False
        data = _END.encode("latin-1") + self._read(number >> FILTER_BITS & _SHARE_MASK)
        return f"{_END}{token}{_END}".encode("latin-1") in data

    def spill(self) -> None:
        """Move all tokens that are in memory to the file, and note them in the filter."""
        if not self._filter:
            self._filter = bytearray(1 << (FILTER_BITS - 3))
        bits = self._filter
        for token in self.recent:
            bit = hash(token) & _FILTER_MASK
            bits[bit >> 3] |= 1 << (bit & 7)
        super().spill()


def read_shares(*lists: KeyList) -> Iterator[Sequence[set[str]]]:
    """The tokens of several lists: the same share of each, one share after the other."""
    if not any(one.has_file for one in lists):
        yield [one.recent for one in lists]
        return
    for one in lists:
        one.spill()
    for number in range(SHARES):
        yield [one.read_share(number) for one in lists]
