"""Unpacks gzip that nobody asked a server for, in bounded memory and up to a bounded size."""

import zlib
from collections.abc import Iterable, Iterator

from receiver.errors import DownloadError

GZIP_WINDOW = zlib.MAX_WBITS | 16  # zlib's sign for a gzip header and trailer
PIECE_BYTES = 64 * 1024
MAX_BYTES = 16 * 1024**3
MAX_RATIO = 250  # result lines shrink 5 to 60 times, a bomb 1,000 times
RATIO_COUNTS_FROM_BYTES = 64 * 1024**2


def gunzip(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The plain bytes of the gzip members in `chunks`, in pieces of at most 64 KiB.

    Raises DownloadError: retryable when the data is broken or short, not when it grows too large.
    """
    packed_bytes = plain_bytes = 0
    decoder = zlib.decompressobj(GZIP_WINDOW)
    for chunk in chunks:
        packed_bytes += len(chunk)
        rest = chunk
        while rest:
            if decoder.eof:
                decoder = zlib.decompressobj(GZIP_WINDOW)
            try:
                piece = decoder.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise DownloadError(
                    f"{name} arrived as broken gzip: {error}", retryable=True
                ) from error
            plain_bytes += len(piece)
            _refuse_bomb(name, packed_bytes, plain_bytes)
            if piece:
                yield piece
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if not decoder.eof:
        raise DownloadError(f"{name} arrived as gzip that ends early", retryable=True)


def _refuse_bomb(name: str, packed_bytes: int, plain_bytes: int) -> None:
    is_steep = plain_bytes > RATIO_COUNTS_FROM_BYTES and plain_bytes > packed_bytes * MAX_RATIO
    if is_steep or plain_bytes > MAX_BYTES:
        words = f"{name} grew from {packed_bytes} bytes of gzip to over {plain_bytes}"
        raise DownloadError(f"{words}: refused as a bomb")
