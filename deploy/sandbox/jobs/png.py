"""Small valid PNGs, made without an imaging library."""

import random
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIDE = 64
STRIPE = 8


def make_striped_png(rng: random.Random) -> bytes:
    """A 64 by 64 picture of two colours in stripes, some hundred bytes long."""
    colours = rng.randbytes(3), rng.randbytes(3)
    row = b"".join(colours[(x // STRIPE) % 2] for x in range(SIDE))
    return _png(SIDE, [row] * SIDE, level=9)


def make_noise_png(rng: random.Random, side: int) -> bytes:
    """A picture of noise, about `3 * side * side` bytes long since noise does not compress."""
    return _png(side, [rng.randbytes(3 * side) for _ in range(side)], level=0)


def _png(width: int, rows: list[bytes], *, level: int) -> bytes:
    """8-bit RGB, one filter byte (none) before each row; https://www.w3.org/TR/png-3/."""
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\x00" + row for row in rows), level)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )
