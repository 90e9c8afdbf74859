"""One address of Gemini for several projects: each API key sees the stand-in of its own project."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message

from tests.answering import Answer, answering
from tests.forwarding import UPSTREAM


@dataclass
class KeyRouter:
    """`calls` fills up with (key, path); a key among `broken` gets 503."""

    stand_ins: Mapping[str, str]  # API key to URL
    url: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def answer(self, path: str, headers: Message) -> Answer:
        key = headers.get("x-goog-api-key", "")
        self.calls.append((key, path))
        if key not in self.stand_ins:
            return Answer(
                403, b'{"error":{"code":403,"status":"PERMISSION_DENIED","message":"no"}}'
            )
        if key in self.broken:
            return Answer(503, b'{"error":{"code":503,"status":"UNAVAILABLE","message":"later"}}')
        found = UPSTREAM.get(self.stand_ins[key] + path, headers={"x-goog-api-key": key})
        kind = found.headers.get("content-type", "application/octet-stream")
        return Answer(found.status_code, found.content, {"content-type": kind})


@contextmanager
def routing_keys(stand_ins: Mapping[str, str]) -> Iterator[KeyRouter]:
    router = KeyRouter(stand_ins)
    with answering(router.answer) as router.url:
        yield router
