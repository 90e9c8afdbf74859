"""Which fault a request has, by its marker or by chance, and by how often it was seen."""

import hashlib
import zlib

from deploy.sandbox.faults.faults import FailingRows, Faults
from deploy.sandbox.faults.markers import Marker, find_marker, marked_text
from deploy.sandbox.ledger import Sightings

RPC_UNAVAILABLE = 14
PASSING = ("error", "empty", "truncated")


class Tries:
    """Counts requests by their text, which is the same however they are sent."""

    def __init__(self, faults: Faults, sightings: Sightings) -> None:
        self._faults, self._sightings = faults, sightings

    def find(self, text: str) -> Marker | None:
        """The fault of this try, which uses up one of its times."""
        marker = find_marker(text) or _draw(text, self._faults.failing_rows)
        if marker is None or marker.tries is None:
            return marker
        digest = hashlib.sha256(marked_text(text).encode(errors="surrogatepass")).digest()
        return marker if self._sightings.add(digest) <= marker.tries else None


def _draw(text: str, failing: FailingRows | None) -> Marker | None:
    if failing is None:
        return None
    number = zlib.crc32(text.encode(errors="surrogatepass"))
    if number % 10_000 >= failing.share * 10_000:
        return None
    name = PASSING[number // 10_000 % len(PASSING)]
    return Marker(name, RPC_UNAVAILABLE if name == "error" else None, failing.tries)
