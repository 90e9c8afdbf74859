"""A stand-in of the two calls that a look makes, whose batches can have ended at any time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.answering import Answer, answering


def ago(**span: float) -> str:
    """A moment of the past as Gemini writes it."""
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Listing:
    """What Gemini would answer. `operations` can be changed while it serves."""

    def __init__(self) -> None:
        self.operations: dict[str, dict[str, Any]] = {}
        self.page_size = 3
        self.latest: dict[str, str] = {}  # states that `get` knows and the list does not yet
        self.hidden = set[str]()  # `get` answers 404
        self.files: dict[
            str, list[int]
        ] = {}  # statuses that a download answers in turn, the last one for ever
        self.broken_page: int | None = None  # number of a list page that answers 503
        self.asked: list[str] = []  # names that were asked for one by one
        self.pages: list[int] = []  # pages that were asked for

    def add(
        self,
        batch_id: str,
        state: str = "SUCCEEDED",
        ended: str | None = None,
        file: list[int] | None = None,
    ) -> str:
        name = f"batches/{batch_id}"
        metadata: dict[str, Any] = {"state": f"BATCH_STATE_{state}", "createTime": ago(days=1)}
        if state not in ("PENDING", "RUNNING"):
            metadata["endTime"] = ended or ago(hours=2)
        if file is not None:
            self.files[f"files/batch-{batch_id}"] = file
            metadata["output"] = {"responsesFile": f"files/batch-{batch_id}"}
        self.operations[name] = {"name": name, "metadata": metadata}
        return name

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(path)
        if parts.path != "/v1beta/batches":
            return self._one(parts.path.removeprefix("/v1beta/"))
        page = int(parse_qs(parts.query).get("pageToken", ["0"])[0])
        self.pages.append(page)
        if page == self.broken_page:
            return 503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "try again"}}
        rows = list(self.operations.values())[page * self.page_size : (page + 1) * self.page_size]
        more = (
            {"nextPageToken": str(page + 1)}
            if len(self.operations) > (page + 1) * self.page_size
            else {}
        )
        return 200, {"operations": rows} | more

    def _one(self, name: str) -> tuple[int, dict[str, Any]]:
        self.asked.append(name)
        if (file := name.removesuffix(":download")) in self.files:
            statuses = self.files[file]
            return statuses.pop(0) if len(statuses) > 1 else statuses[0], {}
        if name in self.hidden or name not in self.operations:
            return 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "no such batch"}}
        row = self.operations[name]
        state = self.latest.get(name)
        changes = {"state": f"BATCH_STATE_{state}", "endTime": ago(hours=1)} if state else {}
        return 200, {"name": name, "metadata": row["metadata"] | changes}


@contextmanager
def serving(listing: Listing) -> Iterator[str]:
    """Serve it over HTTP; gives the base URL."""

    def answer(path: str, _: Message) -> Answer:
        status, document = listing.answer(path)
        return Answer(status, json.dumps(document).encode())

    with answering(answer) as url:
        yield url
