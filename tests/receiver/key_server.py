"""A key set endpoint for real processes, and a port that must stay silent."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message

from tests.answering import Answer, answering


class CallLog:
    """A server on loopback with one answer, a document or a redirect elsewhere; it writes down each GET."""

    def __init__(self, document: bytes = b"{}", elsewhere: str = "") -> None:
        self.url = ""
        self.calls: list[str] = []  # paths
        self._answer = (
            Answer(302, document, {"location": elsewhere}) if elsewhere else Answer(200, document)
        )

    def answer(self, path: str, _: Message) -> Answer:
        self.calls.append(path)
        return self._answer


@contextmanager
def serving_calls(document: bytes = b"{}", elsewhere: str = "") -> Iterator[CallLog]:
    log = CallLog(document, elsewhere)
    with answering(log.answer) as log.url:
        yield log
