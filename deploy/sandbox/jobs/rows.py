"""Makes the rows of a result from the requests of a job, in a thread, a few rows at a time."""

import random
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.sandbox.faults.markers import Marker, Plan, find_marker
from deploy.sandbox.google_api import Json, decode, encode_compact, pick
from deploy.sandbox.jobs.answers import (
    RPC_INVALID_ARGUMENT,
    RPC_UNAVAILABLE,
    FindMarker,
    answer_embed,
    answer_generate,
    error_body,
)
from deploy.sandbox.jobs.payments import payment_for
from deploy.sandbox.ledger import Kind, Payment

SHUFFLE_WINDOW = 1000


@dataclass
class Count:
    requests: int = 0
    successful: int = 0
    failed: int = 0
    stuck: int = 0  # that are never answered


@dataclass(frozen=True)
class Recipe:
    """What all rows of a job have in common."""

    kind: Kind
    model: str
    seed: int
    plan: Plan
    find: FindMarker = find_marker
    paid: list[Payment] | None = None  # what the answers cost is added to it, by `payer`
    payer: str = ""

    def pay(self, key: Any, request: Any, body: Json, marker: Marker | None) -> None:
        is_lost = _is(marker, "missing") or _is(marker, "stuck")
        if self.paid is not None and "response" in body and not is_lost:
            self.paid.append(payment_for(self.payer, key, request, marker))

    def answer(self, request: Any) -> tuple[Json, Marker | None]:
        if not isinstance(request, dict):
            return error_body(RPC_INVALID_ARGUMENT, "The request is not an object."), None
        try:
            if self.plan.all_errors:
                body, marker = error_body(13), None
            elif self.plan.flaky and zlib.crc32(encode_compact(request)) % self.plan.flaky == 0:
                body, marker = error_body(RPC_UNAVAILABLE), None
            elif self.kind == "embed":
                body, marker = answer_embed(request, self.seed, self.find)
            else:
                body, marker = answer_generate(request, self.model, self.seed, self.find)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            body, marker = (
                error_body(RPC_INVALID_ARGUMENT, f"The request has the wrong shape: {error!r}"),
                None,
            )
        if self.plan.error_details and "error" in body:
            body["error"]["details"] = [
                {"@type": "type.googleapis.com/google.rpc.DebugInfo", "detail": "made up"}
            ]
        return body, marker


def inline_rows(
    requests: Iterable[Json], recipe: Recipe, count: Count, halt: threading.Event
) -> Iterator[Json]:
    """The rows of `inlinedResponses`, each ending with the `metadata` of its request."""
    for entry in requests:
        if halt.is_set():
            return
        body, marker = recipe.answer(entry.get("request"))
        recipe.pay(pick(entry.get("metadata"), "key"), entry.get("request"), body, marker)
        _tally(count, body, marker)
        row = dict(body)
        if "metadata" in entry and not recipe.plan.no_metadata and not _is(marker, "nokey"):
            row["metadata"] = entry["metadata"]
        yield from _repeated(row, marker)


def file_rows(path: Path, recipe: Recipe, count: Count, halt: threading.Event) -> Iterator[Json]:
    """The objects of the result file: the answer first, echoed fields after it, `key` last."""
    with path.open("rb") as lines:
        for line in lines:
            if halt.is_set():
                return
            if line.strip():
                yield from _file_row(line, recipe, count)


def _file_row(line: bytes, recipe: Recipe, count: Count) -> Iterator[Json]:
    try:
        entry = decode(line)
    except ValueError as error:
        entry = error
    if not isinstance(entry, dict):
        body = error_body(
            RPC_INVALID_ARGUMENT, f"Line {count.requests + 1} of the input is not a JSON object."
        )
        _tally(count, body, None)
        yield body
        return
    wrapped = "request" in entry  # the guide also shows lines that are a bare request
    request = entry["request"] if wrapped else entry
    body, marker = recipe.answer(request)
    recipe.pay(entry.get("key"), request, body, marker)
    _tally(count, body, marker)
    row = dict(body)
    if wrapped:
        row |= {
            name: _emptied(value) for name, value in entry.items() if name not in ("key", "request")
        }
    if "key" in entry and not _is(marker, "nokey"):
        if _is(marker, "metadata-key"):
            row["metadata"] = {"key": entry["key"]}
        else:
            row["key"] = entry["key"]
    yield from _repeated(row, marker)


def shuffled(rows: Iterable[Json], seed: int) -> Iterator[Json]:
    """The rows in random order, shuffled in windows to limit memory."""
    rng = random.Random(seed)
    window: list[Json] = []
    for row in rows:
        window.append(row)
        if len(window) == SHUFFLE_WINDOW:
            rng.shuffle(window)
            yield from window
            window = []
    rng.shuffle(window)
    yield from window


def write_rows(rows: Iterable[Json], path: Path) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(encode_compact(row) + b"\n")


def _is(marker: Marker | None, name: str) -> bool:
    return marker is not None and marker.name == name


def _repeated(row: Json, marker: Marker | None) -> Iterator[Json]:
    if not _is(marker, "missing") and not _is(marker, "stuck"):
        yield row
    if _is(marker, "duplicate"):
        yield row


def _tally(count: Count, body: Json, marker: Marker | None) -> None:
    count.requests += 1
    if _is(marker, "stuck"):
        count.stuck += 1
    elif "response" in body:
        count.successful += 1
    else:
        count.failed += 1


def _emptied(value: Any) -> Any:
    """The service echoes unknown fields of an input line with every array emptied."""
    if isinstance(value, list):
        return []
    if isinstance(value, dict):
        return {name: _emptied(inner) for name, inner in value.items()}
    return value
