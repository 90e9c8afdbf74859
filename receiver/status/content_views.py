"""What a stored line shows: the answer in a result, and the turns of a request. Pure."""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from receiver.answers.answer import decode_line
from receiver.answers.candidates import candidates_of
from receiver.answers.large_lines import find_excess, find_wide_text
from receiver.answers.shapes import camel_case, unify_parts, unify_row
from receiver.status.content_pieces import Media, Piece, Pieces
from receiver.tolerant_json import as_list, as_object, as_text

SHOWN_NUMBERS = 8  # of an embedding
SHOWN_BYTES = 64 * 1024  # of a line that is no JSON


@dataclass(frozen=True)
class Turn:
    """Pieces of one author: of a candidate, of the user, of the model."""

    title: str  # empty where nothing is to be told apart
    pieces: list[Piece]
    note: str = ""  # why a candidate ended


@dataclass(frozen=True)
class ContentView:
    """One side of the page."""

    turns: list[Turn] = field(default_factory=list)
    rest: Piece | None = None  # everything else in the line
    problem: str = ""  # why nothing is shown
    media: list[Media] = field(default_factory=list)


Read = Callable[[dict[str, Any], Pieces], ContentView]


def view_answer(line: bytes) -> ContentView:
    """The candidates of a result, as Gemini sent it. Never raises."""
    return _view(line, _read_answer)


def view_request(line: bytes) -> ContentView:
    """The turns of a request. Never raises."""
    return _view(line, _read_request)


def unwrap_error(row: bytes) -> bytes:
    """The line that a row of `_errors.jsonl` holds."""
    said = decode_line(row)
    raw = as_text(said.get("raw"))
    if raw is not None:
        return raw.encode(errors="surrogatepass")
    try:
        return b64decode(as_text(said.get("raw_base64")) or "")
    except ValueError:  # binascii's error is one
        return b""


def _view(line: bytes, read: Read) -> ContentView:
    if excess := find_excess(line) or find_wide_text(line):
        return ContentView(problem=excess)
    row = decode_line(line)
    pieces = Pieces()
    if not row:
        return ContentView(
            [Turn("As it came", pieces.read([line[:SHOWN_BYTES].decode(errors="replace")]))]
        )
    return read(row, pieces)


def _read_answer(row: dict[str, Any], pieces: Pieces) -> ContentView:
    unified = unify_row(row)
    response = as_object(unified.get("response"))
    candidates = candidates_of(response)
    turns = [
        Turn(
            "" if len(candidates) == 1 else f"Candidate {number}",
            pieces.read(as_list(as_object(candidate.get("content")).get("parts"))),
            as_text(candidate.get("finishReason")) or "",
        )
        for number, candidate in enumerate(candidates, 1)
    ]
    vector = as_list(as_object(response.get("embedding")).get("values"))
    if vector:
        shown = {"numbers": len(vector), "first": vector[:SHOWN_NUMBERS]}
        turns.append(Turn("Embedding", [pieces.show(shown)]))
    others = _without(response, "candidates", "embedding", "embeddings")
    if candidates:
        others |= {"candidates": [_without(one, "content") for one in candidates]}
    rest = unified | ({"response": others} if others else {})
    return ContentView(turns, pieces.show(rest), media=pieces.media)


def _read_request(row: dict[str, Any], pieces: Pieces) -> ContentView:
    request = camel_case(as_object(row.get("request")) or as_object(row.get("body")))
    turns = list[Turn]()
    if system := request.get("systemInstruction"):
        turns.append(Turn("System instruction", pieces.read(_parts_of(system))))
    for content in _contents_of(request):
        role = as_text(as_object(content).get("role")) or "user"
        turns.append(Turn(role, pieces.read(_parts_of(content))))
    rest = _without(request, "systemInstruction", "contents", "content", "messages", "input")
    about = _without(row, "request", "body")
    return ContentView(turns, pieces.show(about | {"request": rest}), media=pieces.media)


def _contents_of(request: dict[str, Any]) -> list[Any]:
    """In Gemini's form and in OpenAI's, those of embeddings too."""
    for name in ("contents", "content", "messages", "input"):
        found = request.get(name)
        if found is not None:
            return found if isinstance(found, list) else [found]
    return []


def _parts_of(content: object) -> list[Any]:
    if isinstance(content, str):
        return [content]
    fields = as_object(content)
    parts = fields.get("parts", fields.get("content", fields))  # of a content, or of a message
    return unify_parts(
        [_without_type(part) for part in (parts if isinstance(parts, list) else [parts])]
    )


def _without_type(part: object) -> object:
    """Parts in OpenAI's form name their kind."""
    return _without(part, "type") if isinstance(part, dict) else part


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}
