"""Pictures and sounds: `inlineData` of an answer, decoded to files.

What a line says of a type chooses among the endings that are listed here, and nothing else: it never gets into a name.
"""

import binascii
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from workers.forms.structured import BrokenAnswerError

CHARACTERS_TOGETHER = 1024 * 1024  # a multiple of four: so many characters of base64 are whole bytes
UNKNOWN = ".bin"
EXTENSIONS = {
    "application/json": ".json",
    "application/pdf": ".pdf",
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/l16": ".pcm",  # samples without any header, as speech models give them
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


def extension_of(mime_type: object) -> str:
    """The ending of files of a type, parameters aside; `.bin` of all that is not listed."""
    if not isinstance(mime_type, str):
        return UNKNOWN
    return EXTENSIONS.get(mime_type.partition(";")[0].strip().lower(), UNKNOWN)


def decode_media(part: dict[str, Any], path: Path) -> Decoded:
    """Write the bytes of an `inlineData` to a file, in pieces. Raises BrokenAnswerError."""
    data = part.get("data")
    if not isinstance(data, str) or not data:
        raise BrokenAnswerError("the part holds no data")
    padding = data.find("=")
    if 0 <= padding < len(data) - 2:
        raise BrokenAnswerError("the data is not base64: it goes on after its end")
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("wb") as file:
            for start in range(0, len(data), CHARACTERS_TOGETHER):
                piece = binascii.a2b_base64(data[start : start + CHARACTERS_TOGETHER], strict_mode=True)
                file.write(piece)
                digest.update(piece)
                size += len(piece)
    except ValueError as error:  # binascii's errors are ValueErrors
        path.unlink()
        raise BrokenAnswerError(f"the data is not base64: {error}") from error
    return Decoded(size, digest.hexdigest())
