import hashlib
import time

import pytest

from workers.download.source_digest import PIECE_BYTES, SourceDigest

SIZES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES // 2]


@pytest.mark.parametrize("size", SIZES)
def test_digest_is_that_of_all_bytes_after_every_block(size: int) -> None:
    """Of blocks smaller and larger than a piece; to ask in between changes nothing."""
    found, expected = SourceDigest(), hashlib.sha256()
    for number in range(7):
        block = bytes([number]) * size
        found.update(block)
        expected.update(block)
        assert found.hexdigest() == expected.hexdigest()
    assert found.copy().digest() == expected.digest()


def test_blocks_of_the_network_share_pieces() -> None:
    found, expected = SourceDigest(), hashlib.sha256()
    for number in range(100):
        block = bytes([number]) * (64 * 1024 - number)
        found.update(block)
        expected.update(block)
    assert found.hexdigest() == expected.hexdigest()


def test_copy_does_not_change_with_what_follows() -> None:
    found = SourceDigest()
    found.update(b"a" * PIECE_BYTES * 2)
    copy = found.copy()
    found.update(b"b" * PIECE_BYTES * 2)
    assert copy.digest() == hashlib.sha256(b"a" * PIECE_BYTES * 2).digest()


def test_another_thread_computes_it() -> None:
    """The thread that uses the bytes only copies them."""
    found, block, started_s = SourceDigest(), b"x" * PIECE_BYTES, time.thread_time()
    for _ in range(200):
        found.update(block)
    ours_s = time.thread_time() - started_s
    started_s = time.thread_time()
    for _ in range(200):
        hashlib.sha256(block).digest()
    assert ours_s < (time.thread_time() - started_s) / 2
