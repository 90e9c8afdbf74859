"""Decodes images and sounds, the `inlineData` of an answer, to files.

The type that a line gives only chooses among the extensions listed here: it never gets into a name.
"""

import binascii
import hashlib
import struct
from pathlib import Path
from typing import Any, NamedTuple

from receiver.answers.answer import plain_text
from receiver.errors import BrokenAnswerError

CHARACTER_BATCH_SIZE = 1024 * 1024  # a multiple of four, which are three whole bytes in base64
UNKNOWN = ".bin"
PCM_TYPES = frozenset({"audio/l16", "audio/pcm"})
SAMPLE_BYTES = 2
MAX_RATE_HZ = 768_000
MAX_CHANNELS = 32
MAX_WAV_BYTES = 2**32 - 1 - 36
MIME_CHARACTERS = 200
EXTENSIONS = {
    "application/json": ".json",
    "application/pdf": ".pdf",
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/l16": ".pcm",  # samples without a header, where the type does not give their rate
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/pcm": ".pcm",
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/webm": ".weba",
    "audio/x-wav": ".wav",
    "image/avif": ".avif",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/heif": ".heif",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tiff",
    "image/webp": ".webp",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
    "video/mpeg": ".mpeg",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
}


class Decoded(NamedTuple):
    """A file that was made of a part."""

    size_bytes: int
    sha256: str  # hex
    extension: str = UNKNOWN  # with its dot
    mime_type: str | None = None  # as the part says it, shortened


def extension_of(mime_type: object) -> str:
    """The extension of files of a type, whose parameters don't count; `.bin` where unknown."""
    if not isinstance(mime_type, str):
        return UNKNOWN
    return EXTENSIONS.get(mime_type.partition(";")[0].strip().lower(), UNKNOWN)


def pcm_header(mime_type: object, size_bytes: int) -> bytes:
    """The header that makes a `.wav` of raw 16-bit samples; empty where their rate is not given.

    Speech models give `audio/L16;codec=pcm;rate=24000`: little-endian, one channel by default.
    """
    if not isinstance(mime_type, str):
        return b""
    name, *parameters = (part.strip().lower() for part in mime_type.split(";"))
    if name not in PCM_TYPES:
        return b""
    pairs = (one.partition("=") for one in parameters)
    values = {key.strip(): value.strip(' "') for key, _, value in pairs}
    rate, channels = values.get("rate", ""), values.get("channels", "1")
    is_sound = _is_count(rate, MAX_RATE_HZ) and _is_count(channels, MAX_CHANNELS)
    if not is_sound or size_bytes > MAX_WAV_BYTES:
        return b""

    frame = SAMPLE_BYTES * int(channels)
    about = (1, int(channels), int(rate), int(rate) * frame, frame, 8 * SAMPLE_BYTES)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size_bytes,
        b"WAVE",
        b"fmt ",
        16,
        *about,
        b"data",
        size_bytes,
    )


def _is_count(text: str, most: int) -> bool:
    return (
        text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 0 < int(text) <= most
    )


def decode_media(part: dict[str, Any], path: Path) -> Decoded:
    """Write the bytes of an `inlineData` to a file, in pieces. Raises BrokenAnswerError."""
    data = part.get("data")
    if not isinstance(data, str) or not data:
        raise BrokenAnswerError("the part holds no data")
    padding = data.find("=")
    if 0 <= padding < len(data) - 2:
        raise BrokenAnswerError("the data is not base64: it goes on after its end")
    mime_type = part.get("mimeType")
    header = pcm_header(mime_type, len(data) // 4 * 3 - data[-2:].count("="))
    digest, size = hashlib.sha256(header), len(header)
    try:
        with path.open("wb") as file:
            file.write(header)
            for start in range(0, len(data), CHARACTER_BATCH_SIZE):
                piece = binascii.a2b_base64(
                    data[start : start + CHARACTER_BATCH_SIZE], strict_mode=True
                )
                file.write(piece)
                digest.update(piece)
                size += len(piece)
    except ValueError as error:  # binascii's errors are ValueErrors
        path.unlink()
        raise BrokenAnswerError(f"the data is not base64: {error}") from error

    extension = ".wav" if header else extension_of(mime_type)
    shown = plain_text(mime_type)[:MIME_CHARACTERS] if isinstance(mime_type, str) else None
    return Decoded(size, digest.hexdigest(), extension, shown)
