"""How many tokens a request has, by the sandbox's own rule: four letters are one. Pure."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deploy.sandbox.google_api import Json, decode, pick

LETTERS_PER_TOKEN = 4
TOKENS_PER_MEDIUM = 258
CACHED_TOKENS = 4096  # reported for any cached content; the sandbox stores none


def parts_of(contents: Any) -> list[Json]:
    """The parts of one content, or of a list of them."""
    listed = contents if isinstance(contents, list) else [contents]
    found = [part for content in listed for part in pick(content, "parts") or []]
    return [part for part in found if isinstance(part, dict)]


def text_of(contents: Any) -> str:
    return " ".join(str(part["text"]) for part in parts_of(contents) if part.get("text"))


def count_text(text: str) -> int:
    return max(1, len(text) // LETTERS_PER_TOKEN)


def count_prompt(request: Json) -> dict[str, int]:
    """Tokens of a GenerateContentRequest by modality."""
    contents = pick(request, "contents")
    cached = CACHED_TOKENS if pick(request, "cachedContent") else 0
    details = {"TEXT": count_text(text_of(contents)) + cached}
    for part in parts_of(contents):
        media = pick(part, "inlineData") or pick(part, "fileData")
        kind = str(pick(media, "mimeType") or "").partition("/")[0].upper()
        if kind in ("IMAGE", "AUDIO", "VIDEO"):
            details[kind] = details.get(kind, 0) + TOKENS_PER_MEDIUM
    return details


def describe_details(details: dict[str, int]) -> list[Json]:
    """The counts in the form of `promptTokensDetails`."""
    return [{"modality": name, "tokenCount": count} for name, count in details.items()]


def count_requests(requests: Iterable[Any]) -> int:
    """All tokens of the requests of a batch; one that can't be read has none."""
    return sum(map(_count_request, requests))


def count_file(path: Path) -> int:
    """All tokens of an input file."""
    with path.open("rb") as lines:
        return count_requests(_request_of(line) for line in lines if line.strip())


def _request_of(line: bytes) -> Any:
    try:
        entry = decode(line)
    except ValueError:
        return None
    return entry.get("request", entry) if isinstance(entry, dict) else None


def _count_request(request: Any) -> int:
    if not isinstance(request, dict):
        return 0
    try:
        content = pick(request, "content")
        if content:
            return count_text(text_of(content))
        return sum(count_prompt(request).values())
    except (AttributeError, TypeError):
        return 0
