"""Whether bytes are well-formed UTF-8, in bounded memory."""

from codecs import utf_8_decode

# malloc maps fresh pages for anything over 128 KiB, and touching those halves the speed. Decoded
# text may take four times as much as its bytes.
_CHECK_BYTES = 16 * 1024


def is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        decodable_bytes(data, final=True)
    except UnicodeDecodeError:
        return False
    return True


def decodable_bytes(data: bytes, *, final: bool) -> int:
    """How many bytes make whole characters. Raises UnicodeDecodeError.

    Without `final`, up to 3 bytes of the last character may be left over.
    """
    view = memoryview(data)
    position = 0
    while position < len(view):
        end = position + _CHECK_BYTES
        used = utf_8_decode(view[position:end], "strict", final and end >= len(view))[1]
        if not used:
            break
        position += used
    return position
