"""A result file on its way to a download: a real server, the fault proxy, and the client."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from receiver.errors import GeminiError
from receiver.gemini.batches import Gemini
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.result_server import Answer, AnswerFault, ResultServer, Seen, result_server
from workers.download.download import Download, DownloadPatience

NAME = "files/batch-abc"
KEY = "key-of-the-test"
CONTENT = b"".join(b'{"response":{"n":%d},"key":"row-%d"}\n' % (n * n, n) for n in range(8000))
QUICK = DownloadPatience(
    tries=4, progress_bytes=16 * 1024, stall_s=5, pause_s=0.01, max_pause_s=1.5, total_s=20
)


@dataclass(frozen=True)
class Route:
    server: ResultServer
    proxy: FaultProxy
    gemini: Gemini

    def reset(self) -> None:
        self.server.reset(CONTENT)
        self.proxy.reset()

    def download(self, patience: DownloadPatience = QUICK) -> Download:
        return Download(self.gemini, NAME, patience=patience)

    def read(self, patience: DownloadPatience = QUICK) -> bytes:
        return b"".join(self.download(patience).chunks())

    def failure(self, patience: DownloadPatience = QUICK) -> GeminiError:
        with pytest.raises(GeminiError) as caught:
            self.read(patience)
        return caught.value

    def starts(self) -> list[int]:
        """First byte asked for, a request."""
        return [start_of(request) for request in self.server.seen]


@contextmanager
def open_route() -> Iterator[Route]:
    with (
        result_server(CONTENT) as server,
        fault_proxy(server.port) as proxy,
        Gemini(proxy.url, KEY) as gemini,
    ):
        yield Route(server, proxy, gemini)


def start_of(request: Seen) -> int:
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def says(status: int, *, body: bytes = b"", **headers: str) -> AnswerFault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _seen, _answer: Answer(status, named, body)


def as_sent(_seen: Seen, answer: Answer) -> Answer:
    """No fault: this request is served well."""
    return answer
