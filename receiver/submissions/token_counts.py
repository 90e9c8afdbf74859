"""Has Gemini count the tokens of some requests of an input, to know about those of all.

https://ai.google.dev/api/tokens
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from receiver.errors import GeminiError
from receiver.gemini.models import Models, full_model_name
from receiver.gemini.transport import Transport
from receiver.http import httpx
from receiver.submissions.gauges import assume_rates
from receiver.submissions.output_history import AnswerTokens
from receiver.submissions.request_sizes import RequestSize, measure_request
from receiver.submissions.submission import RequestKind, TokenRates
from receiver.submissions.validation import LineError, read_object

PLACES = 20  # spread evenly over the input: one request is counted at each, and one of the other
# kind, if there is any near: requests with attachments and those without are counted apart.
WINDOW_BYTES = 256 * 1024  # looked at from each place
MAX_LINE_BYTES = 4 * 1024 * 1024  # of a request that is counted
MAX_SAMPLE_BYTES = 32 * 1024 * 1024  # of all of them
COUNTING_S = 30.0
# The densest request of all may have so many times the tokens of the densest that was counted.
MARGIN = 1.2


class SampledRequest(NamedTuple):
    """One request of the input."""

    size: RequestSize
    request: dict[str, Any]


class CountedRequest(NamedTuple):
    """What Gemini says of one."""

    size: RequestSize
    tokens: int


def fetch_rates(  # noqa: PLR0913, PLR0917 - what the rates depend on
    transport: Transport,
    path: Path,
    kind: RequestKind,
    model: str,
    answers: AnswerTokens,
    counting_s: float = COUNTING_S,
) -> tuple[TokenRates, str | None]:
    """The rates of an input, and why Gemini could not count, or not all of the sample.

    Counting begins with no further request after `counting_s` seconds.
    """
    models, name = Models(transport), full_model_name(model)
    counted, doubt = list[CountedRequest](), None
    input_limit = output_limit = None
    try:
        found = models.get(name)
        input_limit, output_limit = found.input_limit, found.output_limit
        deadline = time.monotonic() + counting_s
        for one in sample_requests(path):
            if time.monotonic() > deadline:
                break
            tokens = _count(models, name, kind, one.request)
            if tokens is not None:
                counted.append(CountedRequest(one.size, tokens))
    except GeminiError as error:
        doubt = f"tokens were not counted: {error}"
    assumed = assume_rates(input_limit, output_limit, answers.mean, answers.batches)
    return conclude_rates(assumed, counted), doubt


def _count(models: Models, name: str, kind: RequestKind, request: dict[str, Any]) -> int | None:
    """None for a request that Gemini refuses to count, such as one whose file is gone."""
    if kind == "embed":
        asked: dict[str, Any] = {"contents": [request.get("content")]}
    else:
        asked = {"generateContentRequest": {**request, "model": name}}
    try:
        return models.count_tokens(name, asked)
    except GeminiError as error:
        if error.status in (httpx.codes.BAD_REQUEST, httpx.codes.FORBIDDEN):
            return None
        raise


def conclude_rates(assumed: TokenRates, counted: list[CountedRequest]) -> TokenRates:
    """Rates by what was counted; what no request tells is assumed."""
    plain = [one for one in counted if not one.size.attachments]
    if plain:
        text_bytes = sum(one.size.text_bytes for one in plain)
        densest = max(one.tokens / one.size.text_bytes for one in plain)
        assumed = msgspec.structs.replace(
            assumed,
            per_byte=sum(one.tokens for one in plain) / text_bytes,
            most_per_byte=min(densest * MARGIN, assumed.most_per_byte),
        )
    others = [one for one in counted if one.size.attachments]
    if others:
        attachments = sum(one.size.attachments for one in others)
        beside_text = [one.tokens - one.size.text_bytes * assumed.per_byte for one in others]
        largest = max(
            tokens / one.size.attachments for tokens, one in zip(beside_text, others, strict=True)
        )
        assumed = msgspec.structs.replace(
            assumed,
            per_attachment=max(0.0, sum(beside_text) / attachments),
            most_per_attachment=min(max(0.0, largest * MARGIN), assumed.most_per_attachment),
        )
    return msgspec.structs.replace(assumed, counted=len(counted))


def sample_requests(path: Path) -> Iterator[SampledRequest]:
    """Requests from all over an input, each once; none where it can't be read."""
    left, seen = MAX_SAMPLE_BYTES, set[int]()
    with suppress(OSError), path.open("rb") as file:  # the check will say what is wrong
        size_bytes = path.stat().st_size
        for place in range(PLACES):
            start = place * size_bytes // PLACES
            for offset, line, one in _sample_at(file, start):
                if offset not in seen and len(line) <= left:
                    seen.add(offset)
                    left -= len(line)
                    yield one


def _sample_at(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes, SampledRequest]]:
    """The first request behind a place with attachments, and the first without."""
    kinds = set[bool]()
    for offset, line in _lines_from(file, start):
        with suppress(LineError, RecursionError):  # the check will name what is wrong with it
            request = read_object(line).get("request")
            if not isinstance(request, dict):
                continue
            size = measure_request(line, request)
            if (kind := size.attachments > 0) not in kinds:
                kinds.add(kind)
                yield offset, line, SampledRequest(size, request)
        if len(kinds) > 1:
            return


def _lines_from(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    """Lines with their offsets, from the first that begins behind a place; long ones in pieces."""
    file.seek(start)
    if start and not file.readline(MAX_LINE_BYTES).endswith(b"\n"):
        return
    offset = file.tell()
    end = offset + WINDOW_BYTES
    while offset < end and (line := file.readline(MAX_LINE_BYTES)):
        yield offset, line
        offset += len(line)
        file.seek(offset)
