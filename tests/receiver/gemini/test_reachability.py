from email.message import Message

import pytest

from deploy.sandbox.processes import allocate_port
from receiver.gemini.reachability import find_obstacle
from tests.answering import Answer, answering

PATH = "/webhooks/gemini"
OK, NO_DELIVERY = Answer(200, b"{}"), Answer(415, b"{}")


def knock(
    health: Answer, door: Answer, before: str = ""
) -> tuple[str | None, list[tuple[str, Message]]]:
    """What is said of such a place, and what was asked there."""
    asked: list[tuple[str, Message]] = []

    def answer(path: str, headers: Message) -> Answer:
        asked.append((path, headers))
        return health if path.endswith("/health") else door

    with answering(answer) as url:
        return find_obstacle(f"{url}{before}{PATH}", PATH), asked


@pytest.mark.parametrize("before", ["", "/below/a/proxy"])
@pytest.mark.parametrize("answer", [NO_DELIVERY, Answer(401, b"{}")])
def test_endpoint_that_refuses_is_well(before: str, answer: Answer) -> None:
    words, asked = knock(OK, answer, before)
    assert words is None
    assert [path for path, _ in asked] == [f"{before}/health", f"{before}{PATH}"]


@pytest.mark.parametrize(
    ("health", "status", "words"),
    [
        (200, 404, "has no such endpoint"),
        (200, 202, "it is not this receiver"),
        (200, 308, "a delivery must not have to follow"),
        (200, 503, "an unsigned POST gives 503 instead of 401 or 415"),
        (404, 415, "gives 404 instead of 200"),
    ],
)
def test_other_answers_are_named(health: int, status: int, words: str) -> None:
    headers = {"location": "http://127.0.0.1:9/"}
    said, asked = knock(Answer(health, b""), Answer(status, b"x" * 100_000, headers))
    assert words in (said or "")
    assert len(asked) == 2


def test_key_and_signature_stay_here() -> None:
    _, asked = knock(OK, NO_DELIVERY)
    for _, headers in asked:
        assert {name.lower() for name in headers} <= {
            *(
                "host",
                "accept",
                "accept-encoding",
                "connection",
                "user-agent",
                "content-type",
                "content-length",
            )
        }


def test_nobody_there_is_said() -> None:
    assert "no answer: ConnectError" in (
        find_obstacle(f"http://127.0.0.1:{allocate_port()}{PATH}", PATH) or ""
    )


@pytest.mark.parametrize(
    "url", ["http://0.0.0.0:9/webhooks/gemini", "file:///etc/passwd", "nonsense", ""]
)
def test_other_addresses_are_not_asked(url: str) -> None:
    assert find_obstacle(url, PATH) == "the address is not https: nothing was sent there"
